# SPDX-License-Identifier: Apache-2.0
"""Learns how much local memory a container needs, and shares out a node's: only the mathematics."""
