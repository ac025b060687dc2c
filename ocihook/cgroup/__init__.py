# SPDX-License-Identifier: Apache-2.0
"""From a process to its cgroup v2 directory, and that directory's memory files."""
