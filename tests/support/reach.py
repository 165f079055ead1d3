"""Count everything that could grow: what a client, our modules and the event loop hold."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter, deque
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable

OURS = "wavix_async"
_LEAVES = (ModuleType, type, CodeType, BuiltinFunctionType, str, bytes, int, float, asyncio.AbstractEventLoop)


def sizes(client: Any) -> Counter[str]:
    """Count what is there now; nothing may run meanwhile, or it counts, too."""
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if str(kind.__module__).partition(".")[0] == OURS:
            found[f"objects {kind.__qualname__}"] += 1
        elif kind in (asyncio.TimerHandle, asyncio.Handle) or isinstance(thing, asyncio.Future):
            found[f"objects {kind.__name__}"] += 1
    loop: Any = asyncio.get_running_loop()
    found["timers"] = sum(not timer.cancelled() for timer in loop._scheduled)
    found["tasks"] = len(asyncio.all_tasks())
    for name, roots in (("client", [client]), ("modules", _globals())):
        count, held = _walk(roots)
        found[f"{name}: containers"], found[f"{name}: what they hold"] = count, held
    return found


def grown(before: Counter[str], after: Counter[str]) -> dict[str, tuple[int, int]]:
    """Return what there is more of, as (before, after)."""
    return {name: (before[name], count) for name, count in sorted(after.items()) if count > before[name]}


def _globals() -> list[Any]:
    """Return all that our modules keep: caches, registries, context."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == OURS]
    return [value for module in modules for name, value in vars(module).items() if not name.startswith("__")]


def _walk(roots: Iterable[Any]) -> tuple[int, int]:
    """Return how many containers can be reached, and how much they hold together."""
    seen: set[int] = set()
    queue = deque(roots)
    containers = held = 0
    while queue:
        thing = queue.popleft()
        if id(thing) in seen or isinstance(thing, _LEAVES):
            continue
        seen.add(id(thing))
        if hasattr(thing, "cache_info"):
            held += thing.cache_info().currsize
        if isinstance(thing, FunctionType):
            # Not its globals: those of other packages are not ours.
            queue.extend(cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell))
            queue.extend(thing.__defaults__ or ())
            continue
        if isinstance(thing, MethodType):
            queue.append(thing.__self__)
            continue
        if isinstance(thing, dict | list | set | frozenset | tuple | deque | WeakSet):
            containers += 1
            held += len(thing)
        queue.extend(gc.get_referents(thing))
    return containers, held


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
