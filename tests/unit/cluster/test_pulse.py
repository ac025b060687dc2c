# SPDX-License-Identifier: Apache-2.0
"""A program whose loop hangs ends, and one that only waits does not."""

import subprocess
import sys

from ocihook.errors import EXIT_OUTPUT

LOOP = """
import sys, threading, time
from ocihook.cluster.pulse import Pulse
pulse = Pulse("x", 1.0)
pulse.start()
for seconds in (0.5, 0.5, float(sys.argv[1])):
    with pulse.turn():
        for _ in range(3):  # steps, together longer than one may take
            time.sleep(seconds)
            pulse.beat()
    time.sleep(1.5)  # between turns it may wait for as long as it likes
    threading.Thread(target=pulse.beat).start()
print("through")
"""


def run(last: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOOP, last], capture_output=True, text=True, check=False, timeout=60
    )


def test_turns_that_end_in_time_go_on() -> None:
    done = run("0.1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "through\n", "")


def test_a_turn_that_hangs_ends_the_program() -> None:
    done = run("50")
    assert done.returncode == EXIT_OUTPUT
    assert done.stderr == "x: the main loop has hung for 1 s. It is started again.\n"
    assert done.stdout == ""
