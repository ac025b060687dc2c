"""The figures for Prometheus where the kernel holds the bounds."""

from test_metrics import *  # noqa: F403
