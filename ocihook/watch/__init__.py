# SPDX-License-Identifier: Apache-2.0
"""Finds and measures bound containers, and shows, records and draws the results."""
