# SPDX-License-Identifier: Apache-2.0
"""bede-controller: tells the scheduler what nodes have, and nodes what their pods are bound to."""
