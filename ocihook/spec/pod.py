# SPDX-License-Identifier: Apache-2.0
"""Which container of which Kubernetes pod a bundle is for, by the annotations that CRI engines add.

containerd: ``internal/cri/annotations``, with names since 1.5. CRI-O: its ``pkg/annotations``, and the
kubelet's labels (``pkg/kubelet/types/labels.go``), which it adds as annotations. Each writes its own over a
user's, but may pass on what a user has written of the other's. So nobody is believed if there are both.
"""

from ocihook.errors import InputError

#: The annotation with the names of those of a pod's containers that have only borrowed their local memory, as
#: ``web,log``. Admission sets it.
BORROWERS = "bede.dev/borrowers"
_SANDBOX = "sandbox"
#: Podman writes this over an image's annotations, which it passes on; it has no pods of Kubernetes.
_MANAGER, _PODMAN = "io.container.manager", "libpod"
#: By engine: the annotation with the kind of the container; and those with the pod's namespace, name and uid,
#: and the container's name in it.
_ENGINES = (
    (
        "io.kubernetes.cri-o.ContainerType",
        (
            "io.kubernetes.pod.namespace",
            "io.kubernetes.pod.name",
            "io.kubernetes.pod.uid",
            "io.kubernetes.container.name",
        ),
    ),
    (
        "io.kubernetes.cri.container-type",
        (
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.cri.sandbox-name",
            "io.kubernetes.cri.sandbox-uid",
            "io.kubernetes.cri.container-name",
        ),
    ),
)


class Member:
    """A container of a pod; "" is for what its engine does not tell."""

    __slots__ = ("borrows", "container", "namespace", "pod", "uid")

    def __init__(self, namespace: str, pod: str, uid: str, container: str, borrows: bool = False) -> None:
        self.namespace = namespace
        self.pod = pod  #: the pod's name
        self.uid = uid  #: the pod's uid
        self.container = container  #: its name in the pod; "" for the pause container
        self.borrows = borrows  #: whether its local memory is lent to it


def is_sandbox(annotations: dict[str, str]) -> bool:
    """Return whether the container is a pod's pause container, which only keeps the pod's namespaces.

    Raises InputError.
    """
    engine = _engine(annotations)
    return engine is not None and annotations[engine[0]] == _SANDBOX


def member_of(annotations: dict[str, str]) -> Member | None:
    """Return which container of a pod has the *annotations*; None if it is in no pod. Raises InputError."""
    engine = _engine(annotations)
    if engine is None:
        return None
    namespace, name, uid, container = (annotations.get(key, "") for key in engine[1])
    borrows = container != "" and container in annotations.get(BORROWERS, "").split(",")
    return Member(namespace, name, uid, container, borrows)


def naming(container: str) -> dict[str, str]:
    """Return the annotations by which an engine says that a pod's container is called *container*."""
    kind, names = _ENGINES[-1]
    return {kind: "container", names[-1]: container}


def _engine(annotations: dict[str, str]) -> tuple[str, tuple[str, str, str, str]] | None:
    found = [engine for engine in _ENGINES if engine[0] in annotations]
    if not found or annotations.get(_MANAGER) == _PODMAN:
        return None
    if len(found) > 1:
        raise InputError(
            f"there are annotations of two engines, {' and '.join(kind for kind, _ in found)}",
            "Take them out of the pod: engines add these themselves",
        )
    return found[0]
