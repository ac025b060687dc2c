"""`bede doctor` on a kernel that holds bounds by itself."""

from test_doctor import *  # noqa: F403
