# SPDX-License-Identifier: Apache-2.0
"""`bede SUBCOMMAND`, one module each."""
