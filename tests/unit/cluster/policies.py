# SPDX-License-Identifier: Apache-2.0
"""Evaluates the policies in `kubernetes/cel` as an API server does, by the CEL project's own C++ library.

What it lacks of Kubernetes' own functions stands in here: quantities, JSON patches, a list's `indexOf`. The
order of things is Kubernetes': match conditions, then variables, each of which sees those before it, then
mutations or validations. Nothing here looks at costs, or at what Kubernetes knows of a pod's fields.
"""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2
from test_admission import applied

from ocihook.cluster import pods, quantity

Json = dict[str, Any]
T = cel.Type
POLICIES = Path(__file__).resolve().parents[3] / "kubernetes/cel"
_SUFFIXES = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


class RefusedError(Exception):
    """What the API server would answer."""


def _messages() -> descriptor_pool.DescriptorPool:
    """Kubernetes' JSONPatch, and something to hold a quantity's value as a float."""
    file = descriptor_pb2.FileDescriptorProto(name="kubernetes.proto", syntax="proto3")
    file.dependency.append(struct_pb2.DESCRIPTOR.name)
    patch = file.message_type.add(name="JSONPatch")
    for number, name in enumerate(("op", "path", "from", "value"), 1):
        kind = 11 if name == "value" else 9  # a message, or a string
        made = patch.field.add(name=name, number=number, label=1, type=kind)
        if name == "value":
            made.type_name = ".google.protobuf.Value"
    file.message_type.add(name="Quantity").field.add(name="value", number=1, label=1, type=1)
    pool = descriptor_pool.Default()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return pool


_POOL = _messages()
_QUANTITY = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("Quantity"))


def _quantity(text: str) -> Any:
    """Stands in for Kubernetes' `quantity`, with its floats: a number times a power of ten."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([A-Za-z]{0,2})|[eE]([+-]?[0-9]+))", text)
    if found is None or (found[2] or "") not in {**_SUFFIXES, **_BINARY}:
        raise ValueError(f"{text!r} is no quantity")
    number = Decimal(found[1]) * 2 ** _BINARY.get(found[2], 0)
    exponent = int(number.as_tuple().exponent)
    unscaled = int(number.scaleb(-exponent))
    exponent += int(found[3]) if found[3] else _SUFFIXES.get(found[2], 0)
    return _QUANTITY(value=float(unscaled) * 10.0**exponent)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _position(items: list[object], wanted: object) -> int:
    return items.index(wanted) if wanted in items else -1


FUNCTIONS = [
    cel.FunctionDecl("quantity", [cel.Overload("quantity", T("Quantity"), [T.STRING], impl=_quantity)]),
    cel.FunctionDecl(
        "asApproximateFloat",
        [cel.Overload("float", T.DOUBLE, [T("Quantity")], is_member=True, impl=lambda one: one.value)],
    ),
    cel.FunctionDecl("jsonpatch.escapeKey", [cel.Overload("escape", T.STRING, [T.STRING], impl=_escaped)]),
    # A list's `indexOf` under another name: here only texts have one.
    cel.FunctionDecl(
        "position",
        [
            cel.Overload(
                f"position_{kind.name()}", T.INT, [T.List(kind), kind], is_member=True, impl=_position
            )
            for kind in (T.STRING, T.BOOL)
        ],
    ),
]
_LIST = re.compile(r"(variables\.\w+)\.indexOf\(")
_EXTENSIONS = [ext_optional.ExtOptional(), ext_strings.ExtStrings(2)]


class Policy:
    """A policy of a file, with its expressions compiled, which checks their types."""

    def __init__(self, file: str, kind: str) -> None:
        every = list(yaml.safe_load_all((POLICIES / file).read_text()))
        (self.raw,) = (one for one in every if one["kind"] == kind)
        self.spec: Json = self.raw["spec"]
        self.types: dict[str, cel.Type] = {}  #: of its variables
        self._conditions = [self._compiled(one["expression"]) for one in self.spec.get("matchConditions", ())]
        self._variables: dict[str, cel.Expression] = {}
        for one in self.spec.get("variables", ()):
            self._variables[one["name"]] = made = self._compiled(one["expression"])
            self.types[one["name"]] = made.return_type()
        self._mutations = [
            self._compiled(one["jsonPatch"]["expression"]) for one in self.spec.get("mutations", ())
        ]
        self._validations = [
            (
                self._compiled(one["expression"]),
                self._compiled(one.get("messageExpression", "''")),
                one["message"],
            )
            for one in self.spec.get("validations", ())
        ]

    def _compiled(self, text: str) -> cel.Expression:
        known = {"object": T.DYN, "oldObject": T.DYN, "request": T.DYN}
        known |= {f"variables.{name}": kind for name, kind in self.types.items()}
        env = cel.NewEnv(_POOL, variables=known, extensions=_EXTENSIONS, functions=FUNCTIONS)
        return env.compile(_LIST.sub(r"\1.position(", text))

    def _bound(self, request: Json) -> Json | None:
        """The variables for a *request*; None if a condition keeps the policy from it."""
        data = {"request": request, "object": request["object"], "oldObject": request.get("oldObject")}
        if not all(_value(one, data) for one in self._conditions):
            return None
        for name, expression in self._variables.items():
            data[f"variables.{name}"] = _value(expression, data)
        return data

    def patch(self, request: Json) -> list[Json]:
        """Return what it changes in the object of a *request*. Raises RefusedError."""
        data = self._bound(request)
        if data is None:
            return []
        return [json_format.MessageToDict(one) for made in self._mutations for one in _value(made, data)]

    def check(self, request: Json) -> None:
        """Check a *request*. Raises RefusedError with the policy's message."""
        data = self._bound(request)
        if data is None:
            return
        for expression, message, otherwise in self._validations:
            if not _value(expression, data):
                raise RefusedError(_value(message, data) or otherwise)


def _value(expression: cel.Expression, data: Json) -> Any:
    found = expression.eval(data=data)
    if found.type() in (T.ERROR, T.UNKNOWN):
        raise RefusedError(f"failed expression: {found.value()}")
    return found.plain_value()


COMPLETE = Policy("complete.yaml", "MutatingAdmissionPolicy")
CHECK = Policy("check.yaml", "ValidatingAdmissionPolicy")
NODES = Policy("nodes.yaml", "ValidatingAdmissionPolicy")
PROFILES = Policy("profiles.yaml", "ValidatingAdmissionPolicy")


def created(asked: Json) -> Json:
    """The pod that the API server would have. Raises RefusedError."""
    done = applied(asked, COMPLETE.patch({"operation": "CREATE", "object": asked}))
    CHECK.check({"operation": "CREATE", "object": done})
    return done


def update(before: Json, after: Json) -> None:
    """Change a pod. Raises RefusedError."""
    assert COMPLETE.spec["matchConstraints"]["resourceRules"][0]["operations"] == ["CREATE"]
    CHECK.check({"operation": "UPDATE", "object": after, "oldObject": before})


def meaning(made: Json) -> object:
    """What Bede and the scheduler make of a pod: two that mean the same may be written differently."""
    every = pods.containers(made["spec"])
    annotations = made["metadata"].get("annotations", {})
    return (
        made["metadata"].get("labels", {}),
        made["spec"].get("runtimeClassName"),
        [(one.name, one.request, one.lent, pods.bound(one, annotations)) for one in every],
        [
            {
                name: quantity.parse(value)
                for name, value in raw.get("resources", {}).get("limits", {}).items()
            }
            for kind in ("initContainers", "containers")
            for raw in made["spec"].get(kind, [])
        ],
    )
