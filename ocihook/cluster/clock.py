# SPDX-License-Identifier: Apache-2.0
"""Times as the API server has them (RFC 3339, UTC)."""

import calendar
import time


def stamp(seconds: float) -> str:
    """Return the time *seconds* after the epoch: ``2026-11-30T09:15:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds(stamp: str) -> float:
    """Return the seconds after the epoch of a *stamp*; 0 if it is none."""
    try:
        return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def micro(seconds: float) -> str:
    """Return the same with microseconds, as leases have it."""
    return f"{stamp(seconds)[:-1]}.{int(seconds % 1 * 1e6):06}Z"
