# SPDX-License-Identifier: Apache-2.0
"""The programs in bench/ import each other by name, as they are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
