# SPDX-License-Identifier: Apache-2.0
"""bede-webhook: completes pods that ask for local memory, and refuses what cannot be."""
