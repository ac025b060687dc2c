# SPDX-License-Identifier: Apache-2.0
"""How Bede's programs communicate: a container's status, and the agent's socket."""
