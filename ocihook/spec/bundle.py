# SPDX-License-Identifier: Apache-2.0
"""Pure edits of a bundle's ``config.json``: the hooks and a first fence, or the limits of a patched kernel.

Nothing that a user wrote is lost: hooks are appended, the user's ``memory.high`` is kept in the hook's
arguments, and the user's ``memory.node_limit`` in an annotation. A second edit changes nothing, and the edit
for one kind of kernel undoes that for the other.
"""

from ocihook.errors import InputError
from ocihook.spec import annotation, nodelimit, size
from ocihook.spec.state import check_annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = "BEDE_RUNTIME=1"  #: set in the environment of a hook that bede-runtime wrote
HOOK = "bede-hook"  #: a hook whose path ends in this name is Bede's
STAGES = ("createRuntime", "poststart", "poststop")
_OLD = "prestart"  # a deprecated stage, in which bundles made by hand or by Podman may have Bede's hook
_HIGH = "memory.high"
#: An annotation that marks a bundle with Bede's limits; its value is the user's ``memory.node_limit``, or "".
_USER_LIMIT = "bede-user-node-limit"
_CPUS = "bede-cpus"  #: an annotation with the CPUs that Bede put into ``linux.resources.cpu.cpus``
_HINT = "Correct the config.json of the bundle, or let the engine make the container again"


def policy_of(config: "Any") -> annotation.Policy | None:
    """Return the policy in the annotations of *config*; None if none is Bede's. Raises InputError."""
    if not isinstance(config, dict):
        raise InputError("config.json is not a JSON object", _HINT)
    return annotation.parse(check_annotations(config.get("annotations")))


def memory_limit(config: "dict[str, Any]") -> int | None:
    """Return ``linux.resources.memory.limit`` in bytes; None when there is none. Raises InputError."""
    memory = _section(_section(_section(config, "linux"), "resources"), "memory")
    limit = memory.get("limit")
    if limit is None or limit == -1:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise InputError("linux.resources.memory.limit of config.json is not a number of bytes", _HINT)
    return limit or None


def cpuset(config: "dict[str, Any]") -> str:
    """Return ``linux.resources.cpu.mems``, a kernel list; "" if every node is allowed. Raises InputError."""
    mems = _cpu(config).get("mems")
    if mems is not None and not isinstance(mems, str):
        raise InputError("linux.resources.cpu.mems of config.json is not a string", _HINT)
    return mems or ""


def cgroup(config: "dict[str, Any]") -> str:
    """Return ``linux.cgroupsPath``; "" if the runtime chooses the path. Raises InputError."""
    where = _section(config, "linux").get("cgroupsPath")
    if where is not None and not isinstance(where, str):
        raise InputError("linux.cgroupsPath of config.json is not a string", _HINT)
    return where or ""


def edit_limits(config: "dict[str, Any]", limits: dict[int, int], near: str = "") -> bool:
    """Bound the container of *config* in place, only by *limits* (bytes by node). Raises InputError.

    Return whether anything changed. A smaller ``linux.resources.unified["memory.node_limit"]`` of the user
    stays. No hook is needed, so those of an earlier :func:`edit` and its fence are removed. Empty *limits*
    restore what the user wrote. *near* are the CPUs for a container whose user has chosen none ("": all).
    """
    changed = _remove_hooks(config)
    unified = _unified(config)
    annotations = config.get("annotations") or {}
    before = (unified.get(nodelimit.NAME), annotations.get(_USER_LIMIT), annotations.get(_CPUS))
    _restore_limits(config)
    if limits:
        given = unified.get(nodelimit.NAME)
        if given is not None and not isinstance(given, str):
            raise InputError(f'"{nodelimit.NAME}" in config.json is not a string', _HINT)
        value = nodelimit.dump(nodelimit.smaller(nodelimit.parse(given or ""), limits))
        unified = _make_unified(config)
        unified[nodelimit.NAME] = value
        annotations[_USER_LIMIT] = given or ""
        if near and not _cpu(config).get("cpus"):
            config["linux"]["resources"]["cpu"] = {**_cpu(config), "cpus": near}
            annotations[_CPUS] = near
    after = (unified.get(nodelimit.NAME), annotations.get(_USER_LIMIT), annotations.get(_CPUS))
    return changed or before != after


def edit(config: "dict[str, Any]", hook: str, fence: bool) -> bool:
    """Bound the container of *config* in place, by hooks that run the program *hook*.

    Return whether anything changed. *fence* also sets ``linux.resources.unified["memory.high"]`` to the
    bound, unless the user's is smaller; ask for that only if the host has the memory controller on cgroup v2,
    and the container has a cgroup of its own. Raises InputError for bad annotations, or a percentage without
    a limit.
    """
    policy = policy_of(config)
    if policy is None:
        return False
    bound, _ = policy.resolve(memory_limit(config))
    stages = {stage: _hooks(config, stage) for stage in (*STAGES, _OLD)}
    changed = _restore_limits(config)
    arguments: list[str] = []
    ours = _ours(stages["createRuntime"]) or _ours(stages[_OLD])
    if ours is None:
        if fence:
            arguments = _fence(config, bound)
        _add(config, "createRuntime", hook, arguments)
        changed = True
    else:
        changed |= _move_fence(config, bound, ours) if fence else _drop_fence(config, ours)
    for stage in ("poststart", "poststop"):
        if _ours(stages[stage]) is None:
            _add(config, stage, hook, [])
            changed = True
    return changed


def _fence(config: "dict[str, Any]", bound: int) -> list[str]:
    """Set memory.high to *bound*. Return the arguments by which the hook gets the user's value."""
    given = _unified(config).get(_HIGH)
    user = _high(given)
    if given is not None and (user is None or 0 <= user <= bound):
        return []
    _make_unified(config)[_HIGH] = str(bound)
    return ["--user-high", "max" if user is None or user < 0 else str(user)]


def _move_fence(config: "dict[str, Any]", bound: int, ours: "dict[str, Any]") -> bool:
    """Set Bede's fence to an annotation that has changed. Return whether anything changed.

    A memory.high without ``--user-high`` in the hook's arguments is not Bede's, and stays.
    """
    # The same is true if somebody else wrote the hook: an edit for another kernel would not undo the fence.
    if not _is_written(ours, STAGES[0]) or "--user-high" not in ours["args"]:
        return False
    unified = _unified(config)
    user = _high(ours["args"][-1])
    wanted = str(bound if user is None or user < 0 else min(bound, user))
    if _HIGH not in unified or unified[_HIGH] == wanted:
        return False
    unified[_HIGH] = wanted
    return True


def _drop_fence(config: "dict[str, Any]", ours: "dict[str, Any]") -> bool:
    """Remove the fence of an earlier edit. Return False if there is none."""
    if not _is_written(ours, STAGES[0]) or "--user-high" not in ours["args"]:
        return False
    _remove_fence(config, ours["args"][-1])
    ours["args"] = ours["args"][:2]
    return True


def _restore_limits(config: "dict[str, Any]") -> bool:
    """Put the user's memory.node_limit back. Return False if the bundle does not have Bede's."""
    annotations = config.get("annotations") or {}
    if _USER_LIMIT not in annotations:
        return False
    ours = annotations.pop(_CPUS, None)
    if ours is not None and _cpu(config).get("cpus") == ours:
        del _cpu(config)["cpus"]
    user = annotations.pop(_USER_LIMIT)
    unified = _unified(config)
    if nodelimit.NAME in unified:
        del unified[nodelimit.NAME]
        if user:
            unified[nodelimit.NAME] = user
    return True


def _remove_hooks(config: "dict[str, Any]") -> bool:
    """Remove the hooks of an earlier edit, and its fence. Return False if there are none."""
    removed = False
    for stage in (*STAGES, _OLD):
        hooks = _hooks(config, stage)
        others = [hook for hook in hooks if not _is_written(hook, stage)]
        if len(others) == len(hooks):
            continue
        removed = True
        for hook in hooks:
            if hook not in others and "--user-high" in hook["args"]:
                _remove_fence(config, hook["args"][-1])
        config["hooks"][stage] = others
        if not others:
            del config["hooks"][stage]
    if removed and not config["hooks"]:
        del config["hooks"]
    return removed


def _remove_fence(config: "dict[str, Any]", user: str) -> None:
    unified = _unified(config)
    if _HIGH in unified:
        del unified[_HIGH]
        if user != "max":
            unified[_HIGH] = user


def _is_written(hook: object, stage: str) -> bool:
    """Return whether *hook* has the form that this Bede or an earlier one writes."""
    if not isinstance(hook, dict) or _ours([hook]) is None:
        return False
    mark = {name: value for name, value in hook.items() if name not in ("path", "args")}
    # Earlier versions of Bede wrote a time-out.
    if mark != {"env": [MARK]} and set(mark) != {"timeout"}:
        return False
    arguments = hook.get("args")
    if not isinstance(arguments, list) or arguments[:2] != [HOOK, stage]:
        return False
    rest = arguments[2:]
    return not rest or (len(rest) == 2 and rest[0] == "--user-high" and isinstance(rest[1], str))


def _unified(config: "dict[str, Any]") -> "dict[str, Any]":
    return _section(_section(_section(config, "linux"), "resources"), "unified")


def _make_unified(config: "dict[str, Any]") -> "dict[str, Any]":
    for name in ("linux", "resources", "unified"):
        if not config.get(name):
            config[name] = {}
        config = config[name]
    return config


def _cpu(config: "dict[str, Any]") -> "dict[str, Any]":
    return _section(_section(_section(config, "linux"), "resources"), "cpu")


def _high(value: object) -> int | None:
    """Return the bytes of a memory.high, -1 for "max"; None if there is none, or it cannot be parsed."""
    if value == "max":
        return -1
    try:
        return size.parse(value) if isinstance(value, str) else None
    except InputError:
        return None


def _section(parent: "dict[str, Any]", name: str) -> "dict[str, Any]":
    child = parent.get(name)
    if child is None:
        return {}
    if not isinstance(child, dict):
        raise InputError(f'"{name}" in config.json is not a JSON object', _HINT)
    return child


def _hooks(config: "dict[str, Any]", stage: str) -> "list[Any]":
    hooks = _section(config, "hooks").get(stage)
    if hooks is None:
        return []
    if not isinstance(hooks, list):
        raise InputError(f'"hooks.{stage}" in config.json is not a JSON array', _HINT)
    return hooks


def _ours(hooks: "list[Any]") -> "dict[str, Any] | None":
    for hook in hooks:
        if isinstance(hook, dict) and str(hook.get("path", "")).rpartition("/")[2] == HOOK:
            return hook
    return None


def _add(config: "dict[str, Any]", stage: str, path: str, arguments: list[str]) -> None:
    hooks = _hooks(config, stage)
    entry = {"path": path, "args": [HOOK, stage, *arguments], "env": [MARK]}
    if not config.get("hooks"):
        config["hooks"] = {}
    config["hooks"][stage] = [*hooks, entry]
