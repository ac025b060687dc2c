# SPDX-License-Identifier: Apache-2.0
"""What bound containers hold and do: found, measured, shown, recorded and drawn."""
