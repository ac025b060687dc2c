# SPDX-License-Identifier: Apache-2.0
"""Where `packages` is, which the tests in the machine use too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
