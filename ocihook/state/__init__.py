# SPDX-License-Identifier: Apache-2.0
"""Bede's files under ``/run/bede``: the records of bound containers, and the bounds of `bede set`."""
