# SPDX-License-Identifier: Apache-2.0
"""bede-node: carries out what its NodeLocalMemory says, and reports what is."""
