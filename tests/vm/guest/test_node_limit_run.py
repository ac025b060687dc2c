"""`bede run` where the kernel holds the bound."""

from test_run import *  # noqa: F403
