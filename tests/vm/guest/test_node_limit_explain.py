"""`bede explain` where the kernel holds the bound."""

from test_explain import *  # noqa: F403
