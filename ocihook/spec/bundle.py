"""Pure edits of a bundle's ``config.json``: the hooks, and a first fence.

Everything a user wrote stays: hooks are appended, and a ``memory.high`` of theirs travels on in the
hook's arguments. To edit twice is to edit once.
"""

from ocihook.errors import InputError
from ocihook.spec import annotation, size
from ocihook.spec.state import check_annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HOOK = "bede-hook"  #: a hook whose path ends in this name is ours
STAGES = ("createRuntime", "poststart", "poststop")
TIMEOUT = 30  #: seconds a hook may take before the runtime gives up
_OLD = "prestart"  # deprecated; bundles made by hand or by Podman may have us there
_HIGH = "memory.high"


def policy_of(config: "Any") -> annotation.Policy | None:
    """The policy in the annotations of *config*; None when it has none of Bede's. Raises InputError."""
    if not isinstance(config, dict):
        raise InputError("config.json is not a JSON object")
    return annotation.parse(check_annotations(config.get("annotations")))


def memory_limit(config: "dict[str, Any]") -> int | None:
    """``linux.resources.memory.limit`` in bytes; None when there is none. Raises InputError."""
    memory = _section(_section(_section(config, "linux"), "resources"), "memory")
    limit = memory.get("limit")
    if limit is None or limit == -1:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise InputError("linux.resources.memory.limit of config.json is not a number of bytes")
    return limit or None


def edit(config: "dict[str, Any]", hook: str, fence: bool) -> bool:
    """Bound the container of *config* in place: hooks at path *hook*; True when anything changed.

    With *fence*, ``linux.resources.unified["memory.high"]`` is set to the bound unless the user's is smaller:
    only where the host has a cgroup v2 memory controller. Raises InputError for bad annotations or a
    percentage without a limit.
    """
    policy = policy_of(config)
    if policy is None:
        return False
    bound, _ = policy.resolve(memory_limit(config))
    stages = {stage: _hooks(config, stage) for stage in (*STAGES, _OLD)}
    changed = False
    arguments: list[str] = []
    ours = _ours(stages["createRuntime"]) or _ours(stages[_OLD])
    if ours is None:
        if fence:
            arguments = _fence(config, bound)
        _add(config, "createRuntime", hook, arguments)
        changed = True
    elif fence:
        changed = _move_fence(config, bound, ours)
    for stage in ("poststart", "poststop"):
        if _ours(stages[stage]) is None:
            _add(config, stage, hook, [])
            changed = True
    return changed


def _fence(config: "dict[str, Any]", bound: int) -> list[str]:
    """Set memory.high to *bound*; the hook's arguments that tell of the user's value."""
    unified = _section(_section(_section(config, "linux"), "resources"), "unified")
    given = unified.get(_HIGH)
    user = _high(given)
    if given is not None and (user is None or 0 <= user <= bound):
        return []
    for name in ("linux", "resources", "unified"):
        if not config.get(name):
            config[name] = {}
        config = config[name]
    config[_HIGH] = str(bound)
    return ["--user-high", "max" if user is None or user < 0 else str(user)]


def _move_fence(config: "dict[str, Any]", bound: int, ours: "dict[str, Any]") -> bool:
    """Follow an annotation that changed since the fence was ours; without ``--user-high`` it never was."""
    arguments = ours.get("args")
    if not isinstance(arguments, list) or "--user-high" not in arguments[:-1]:
        return False
    unified = _section(_section(_section(config, "linux"), "resources"), "unified")
    user = _high(arguments[arguments.index("--user-high") + 1])
    wanted = str(bound if user is None or user < 0 else min(bound, user))
    if _HIGH not in unified or unified[_HIGH] == wanted:
        return False
    unified[_HIGH] = wanted
    return True


def _high(value: object) -> int | None:
    """Bytes of a memory.high, -1 for "max"; None for nothing, or for what only the kernel can judge."""
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
        raise InputError(f'"{name}" in config.json is not a JSON object')
    return child


def _hooks(config: "dict[str, Any]", stage: str) -> "list[Any]":
    hooks = _section(config, "hooks").get(stage)
    if hooks is None:
        return []
    if not isinstance(hooks, list):
        raise InputError(f'"hooks.{stage}" in config.json is not a JSON array')
    return hooks


def _ours(hooks: "list[Any]") -> "dict[str, Any] | None":
    for hook in hooks:
        if isinstance(hook, dict) and str(hook.get("path", "")).rpartition("/")[2] == HOOK:
            return hook
    return None


def _add(config: "dict[str, Any]", stage: str, path: str, arguments: list[str]) -> None:
    hooks = _hooks(config, stage)
    entry = {"path": path, "args": [HOOK, stage, *arguments], "timeout": TIMEOUT}
    if not config.get("hooks"):
        config["hooks"] = {}
    config["hooks"][stage] = [*hooks, entry]
