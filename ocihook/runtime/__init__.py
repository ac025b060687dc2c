# SPDX-License-Identifier: Apache-2.0
"""``bede-runtime``: the OCI runtime wrapper of Docker and containerd."""
