# SPDX-License-Identifier: Apache-2.0
"""The agent: one daemon a host that holds every container's bound."""
