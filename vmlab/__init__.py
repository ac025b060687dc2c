# SPDX-License-Identifier: Apache-2.0
"""What only a checkout has: the two-tier machine in a box, and the demonstration in it."""
