# SPDX-License-Identifier: Apache-2.0
"""Unit tests try properties with the same examples each time; tests/fuzz looks for new ones."""

import hypothesis

hypothesis.settings.register_profile("same", derandomize=True, deadline=None)  # the machine may be busy
hypothesis.settings.load_profile("same")
