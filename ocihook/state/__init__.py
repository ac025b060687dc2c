# SPDX-License-Identifier: Apache-2.0
"""What Bede keeps under ``/run/bede``: records of bound containers, and the way to the agent."""
