# SPDX-License-Identifier: Apache-2.0
"""Makes `packages` importable, which the tests in tests/vm use, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
