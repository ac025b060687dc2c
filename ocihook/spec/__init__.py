# SPDX-License-Identifier: Apache-2.0
"""Pure: sizes, annotations, OCI state and config.json, JSON without the ``json`` package."""
