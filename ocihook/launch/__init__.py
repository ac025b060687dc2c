# SPDX-License-Identifier: Apache-2.0
"""A command under a bound, without a container."""
