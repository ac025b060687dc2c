# SPDX-License-Identifier: Apache-2.0
"""The ways to hold a bound. ``choose`` finds out from the kernel which of these packages to use.

==========  =====================================================================
node_limit  patched kernel: it limits nodes by itself, ``memory.node_limit``
tier        stock kernel with memory tiers: the fence, and demotion ahead of it
migrate     stock kernel, far nodes that are no lower tier: steering, and moving pages
==========  =====================================================================
"""
