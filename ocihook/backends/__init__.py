# SPDX-License-Identifier: Apache-2.0
"""How a bound is held. ``choose`` asks the kernel which of these modules is to hold one.

==========  =====================================================================
node_limit  patched kernel: it limits nodes by itself, ``memory.node_limit``
tier        stock kernel with memory tiers: the fence, and demotion ahead of it
migrate     stock kernel, far nodes that are no lower tier: steering, and moving pages
==========  =====================================================================
"""
