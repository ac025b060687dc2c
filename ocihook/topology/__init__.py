# SPDX-License-Identifier: Apache-2.0
"""Which NUMA nodes are local and which are far, by sysfs."""
