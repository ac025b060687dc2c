# SPDX-License-Identifier: Apache-2.0
"""Kubernetes: what makes local memory a resource that its scheduler counts (docs/kubernetes.md)."""
