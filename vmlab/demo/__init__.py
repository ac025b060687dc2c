# SPDX-License-Identifier: Apache-2.0
"""The demonstration: Redis under a bound in the machine in a box, watched and judged."""
