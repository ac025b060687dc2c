# SPDX-License-Identifier: Apache-2.0
"""What Bede's own programs tell each other: a container's status, and the agent's socket."""
