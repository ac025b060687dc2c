# SPDX-License-Identifier: Apache-2.0
"""The names that Bede has in a cluster; docs/compatibility.md promises them."""

from ocihook.spec import pod

GROUP = "bede.dev"
VERSION = "v1alpha1"
API = f"/apis/{GROUP}/{VERSION}"

#: The extended resource: bytes of local memory that a container requests. A node's capacity is its local
#: memory without its reserve.
RESOURCE = f"{GROUP}/local-memory"
#: Bytes of local memory that others have requested and do not need now. Pods that have these may be evicted.
LENT = f"{GROUP}/lent-memory"
#: The label of pods that have a bound. Admission sets it, so that the controller can ask for these alone.
BOUND = f"{GROUP}/bound"
#: The annotation with what a pod itself requested, where a profile gave it other sizes: ``web=1Gi,log=64Mi``.
ASKED = f"{GROUP}/asked"
#: The annotation with the names of those containers of a pod that have requested lent memory: ``web,log``.
BORROWERS = pod.BORROWERS
#: The taint of nodes that cannot hold bounds now.
UNREADY = f"{GROUP}/unready"

CLASS = "bede"  #: the RuntimeClass whose handler is bede-runtime
NAMESPACE = "bede-system"  #: where Bede's own programs are
NODE_ACCOUNT = "bede-node"  #: the ServiceAccount of bede-node

NODES = f"{API}/nodelocalmemories"
KIND = "NodeLocalMemory"
