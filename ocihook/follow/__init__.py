# SPDX-License-Identifier: Apache-2.0
"""Following the processes of bound containers: what leaves a container's cgroup is put back."""
