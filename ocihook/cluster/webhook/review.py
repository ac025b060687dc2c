# SPDX-License-Identifier: Apache-2.0
"""Answers to AdmissionReview (``admission.k8s.io/v1``): pure, from the request alone.

A request may come from anybody who reaches the port, so no field of it is taken to be there.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

from ocihook.cluster import admission, fields, words
from ocihook.cluster.fields import Json
from ocihook.errors import BedeError, InputError

Advised = Callable[[str, dict[str, str]], dict[str, int]]
_VERSION = "admission.k8s.io/v1"
SIGN = b'"bede.'  #: is in a request where a pod has an annotation, label or resource of Bede's
#: The API server writes a request's uid before its other fields.
_UID = re.compile(rb'"request":\{"uid":"([0-9A-Za-z-]{1,64})"')
_FORBIDDEN, _INVALID = 403, 422
_ACCOUNT = re.compile(f"system:serviceaccount:([^:]+):{words.NODE_ACCOUNT}")
#: What a bound token of a ServiceAccount says of its pod (``k8s.io/apiserver``, serviceaccount/util.go).
_NODE = "authentication.kubernetes.io/node-name"  # since Kubernetes 1.30
_POD = "authentication.kubernetes.io/pod-name"


def of_pod(raw: object, classes: tuple[str, ...], advised: Advised) -> Json:
    """Return the answer for a pod that is made or changed. Raises InputError if *raw* is no review.

    *classes* and what *advised* returns for a namespace and labels are as in :func:`admission.create`.
    """
    request = _request(raw)
    pod = fields.mapping(request, "object")
    try:
        if fields.text(request, "operation") == "CREATE":
            sizes = advised(fields.text(request, "namespace"), fields.texts(pod, "metadata", "labels"))
            return _allowed(request, admission.create(pod, classes, sizes))
        admission.update(fields.mapping(request, "oldObject"), pod)
        return _allowed(request, [])
    except InputError as error:
        return _refused(request, _INVALID, error)


def of_node(raw: object, namespace: str, node_of: Callable[[str], str]) -> Json:
    """Return the answer for a NodeLocalMemory that is made or changed.

    A bede-node may only touch that of its own node, in whichever namespace its account is: this program may
    have been told another one by mistake. *node_of* returns the node of a pod of *namespace*, "" if there is
    none. Raises InputError if *raw* is no review.
    """
    request = _request(raw)
    user = fields.mapping(request, "userInfo")
    name = fields.text(request, "name") or fields.text(request, "object", "metadata", "name")
    account = _ACCOUNT.fullmatch(fields.text(user, "username"))
    if account is None:
        return _allowed(request, [])
    here = _extra(user, _NODE)
    if not here and account[1] == namespace:
        pod = _extra(user, _POD)
        here = node_of(pod) if pod else ""
    if here and here == name:
        return _allowed(request, [])
    why = InputError(
        f"a node may only write about itself: {words.KIND} {name[:60]!a} is not that of {here!a}"
    )
    return _refused(request, _FORBIDDEN, why)


def of_unread(head: bytes, has_sign: bool) -> Json:
    """Return the answer for a request that is too long to be parsed: it is refused if it *has_sign* of Bede.

    *head* is its beginning. Raises InputError if that is not of a review.
    """
    found = _UID.search(head[:1024])
    if found is None:
        raise InputError(f"this is no AdmissionReview of {_VERSION}")
    request = {"uid": found[1].decode()}
    if not has_sign:
        return _allowed(request, [])
    return _refused(request, _INVALID, InputError("the pod is too large to be checked", "Make it smaller"))


def _extra(user: Json, key: str) -> str:
    found = fields.mapping(user, "extra").get(key)
    return found[0] if isinstance(found, list) and found and isinstance(found[0], str) else ""


def _request(raw: object) -> Json:
    request = fields.mapping(raw, "request")
    if fields.text(raw, "apiVersion") != _VERSION or not fields.text(request, "uid"):
        raise InputError(f"this is no AdmissionReview of {_VERSION}")
    return request


def _allowed(request: Json, patch: admission.Patch) -> Json:
    told: Json = {"uid": request["uid"], "allowed": True}
    if patch:
        told["patchType"] = "JSONPatch"
        told["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"apiVersion": _VERSION, "kind": "AdmissionReview", "response": told}


def _refused(request: Json, code: int, error: BedeError) -> Json:
    status = {"code": code, "message": error.line("bede")}
    told = {"uid": request["uid"], "allowed": False, "status": status}
    return {"apiVersion": _VERSION, "kind": "AdmissionReview", "response": told}
