"""How a bound is held. Each backend is a module with ``check``, ``engage`` and ``release``.

=======  =====================================================================
tier     stock kernel with memory tiers: the fence, and demotion ahead of it
=======  =====================================================================
"""
