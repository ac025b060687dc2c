# SPDX-License-Identifier: Apache-2.0
"""Which container of which Kubernetes pod a bundle is for, by the annotations that CRI engines add.

containerd: ``internal/cri/annotations``, since 1.5. CRI-O: its ``pkg/annotations``, and the kubelet's labels
(``pkg/kubelet/types/labels.go``), which it adds as annotations. Both write theirs over a user's.
"""

_SANDBOX = "sandbox"
#: By engine: the annotation with the kind of the container; and those with the pod's namespace, name and uid,
#: and the container's name in it. CRI-O comes first: it passes all annotations of a pod on, so there a user
#: could write containerd's, but not CRI-O's.
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

    __slots__ = ("container", "namespace", "pod", "uid")

    def __init__(self, namespace: str, pod: str, uid: str, container: str) -> None:
        self.namespace = namespace
        self.pod = pod  #: the pod's name
        self.uid = uid  #: the pod's uid
        self.container = container  #: its name in the pod; "" for the pause container


def is_sandbox(annotations: dict[str, str]) -> bool:
    """Return whether the container is a pod's pause container, which only keeps the pod's namespaces."""
    return next((annotations[kind] for kind, _ in _ENGINES if kind in annotations), "") == _SANDBOX


def member_of(annotations: dict[str, str]) -> Member | None:
    """Return which container of a pod has the *annotations*; None if it belongs to no pod."""
    for kind, names in _ENGINES:
        if kind in annotations:
            return Member(*(annotations.get(name, "") for name in names))
    return None
