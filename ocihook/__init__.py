# SPDX-License-Identifier: Apache-2.0
"""Bede: hold a container's local memory to a bound, and keep the rest on the far node."""

__version__ = "0.1.0"
