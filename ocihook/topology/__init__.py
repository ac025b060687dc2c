# SPDX-License-Identifier: Apache-2.0
"""Finds out from sysfs which NUMA nodes are local and which are far."""
