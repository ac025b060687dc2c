# SPDX-License-Identifier: Apache-2.0
"""The container engines of this host: Podman, Docker, containerd and CRI-O."""
