# SPDX-License-Identifier: Apache-2.0
"""What is only a checkout's: the two-tier machine in a box, and the demonstration in it."""
