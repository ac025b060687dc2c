# SPDX-License-Identifier: Apache-2.0
"""`bede doctor`: facts about this host, each with a verdict and perhaps a remedy."""
