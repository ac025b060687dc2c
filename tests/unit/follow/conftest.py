# SPDX-License-Identifier: Apache-2.0
"""The fixture of :mod:`world` for all tests in this directory."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from world import world  # noqa: F401
