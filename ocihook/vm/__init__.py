# SPDX-License-Identifier: Apache-2.0
"""The two-tier machine in a box: Debian in QEMU, with far memory that the host need not have."""
