# SPDX-License-Identifier: Apache-2.0
"""The modelled machine: what two tiers of memory would cost, counted while the machine runs."""
