"""Find the module that defines each public name of a package: read the `__all__` of modules without importing them."""

import ast
import functools
import importlib.util
import pkgutil
import re
from collections.abc import Iterable, Mapping

__all__ = ["names"]

_ALL = re.compile(r"^__all__(?:: [^=\n]+)? = (\[[^\]]*\])", re.MULTILINE)


def names(package: str, path: Iterable[str]) -> Mapping[str, str]:
    """Return the public names of the modules of a package, mapped to the modules that define them.

    Args:
        package: The name of the package.
        path: Its `__path__`.
    """
    return _names(package, tuple(path))


@functools.cache
def _names(package: str, path: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(path, f"{package}."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        if module.ispkg:
            spec = importlib.util.find_spec(module.name)
            found.update(names(module.name, (spec.submodule_search_locations if spec else None) or ()))
        else:
            found.update(dict.fromkeys(_public_names(module.name), module.name))
    return found


def _public_names(module: str) -> list[str]:
    spec = importlib.util.find_spec(module)
    loader = spec.loader if spec else None
    source = loader.get_source(module) if hasattr(loader, "get_source") else None  # type: ignore[union-attr]
    if source and (stated := _ALL.search(source)):
        return [str(name) for name in ast.literal_eval(stated[1])]
    # There is no source, as in a frozen program: import the module.
    return list(importlib.import_module(module).__all__)
