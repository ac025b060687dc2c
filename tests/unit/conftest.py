# SPDX-License-Identifier: Apache-2.0
"""Properties are tried with the same examples each time; tests/fuzz is where new ones are looked for."""

import hypothesis

hypothesis.settings.register_profile("same", derandomize=True, deadline=None)  # a busy machine
hypothesis.settings.load_profile("same")
