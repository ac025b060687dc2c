# SPDX-License-Identifier: Apache-2.0
"""Prints a line on standard error for each stage of a long job."""

import sys
import time


class Progress:
    """Stages of one job, each printed with the seconds since the job began."""

    def __init__(self, quiet: bool = False) -> None:
        self.start = time.monotonic()
        self.quiet = quiet

    def seconds(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self.start

    def stage(self, text: str) -> None:
        """Print that the stage *text* begins now."""
        if not self.quiet:
            print(f"bede vm: [{self.seconds():4.0f} s] {text}", file=sys.stderr, flush=True)
