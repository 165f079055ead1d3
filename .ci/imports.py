#!/usr/bin/env python3
"""Check the imports of the package: no cycles, and no imports of another part's private files.

    python .ci/imports.py [the package's folder]

The script reads the source files and imports nothing. It counts every import: at the top of a module, under
`TYPE_CHECKING`, inside a function, and as a string (`import_module`, `__import__`, the table of a module's
`__getattr__`). import-linter, which checks the layers (`[tool.importlinter]`), cannot see imports by a string. There
is no list of exceptions.

A package whose `__getattr__` finds the right module at run time counts as importing all of its modules. Any other
import whose module name is not a constant is an error.

A module imports the module that it names, and the `__init__` of each package on the path to it. A package that contains
the importing module counts only if the module imports a name from it. If the package is only on the path to a sibling,
it is already loaded.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The parts above `client`. They may use only public modules of other parts, and the exports of a private package's
# `__init__`. A part that is missing here is not checked, so a test compares this list with the contract in
# pyproject.toml, which lists every part.
ABOVE_CLIENT = frozenset(
    {
        "cli",
        "fastapi",
        "_pytest",
        "fleet",
        "_files",
        "_exports",
        "testing",
        "spec",
        "doctor",
        "webhooks",
        "otel",
        "redis",
    }
)


@dataclass(frozen=True)
class Module:
    """A module of the package: its dotted name, its file and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether the module is the `__init__` of a package."""
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """The package from which a relative import starts."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Arrow:
    """One import: the importing and the imported module, the line, and the kind of import."""

    importer: str
    imported: str
    line: int
    how: str
    names: tuple[str, ...] = ()
    """The names imported from `imported`; empty if the whole module is imported."""
    implied: bool = False
    """Whether `imported` is only a package on the path to the named module."""


@dataclass(frozen=True)
class Unreadable:
    """An import whose module is known only at run time."""

    importer: str
    line: int


def parse(source: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(source)


def read_package(folder: Path) -> dict[str, Module]:
    """Read every module of the package in `folder`."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = Module(name, path, parse(path.read_text(encoding="utf-8")))
    return modules


def packages_of(name: str) -> list[str]:
    """Return the packages that contain a module, outermost first, and then the module."""
    return list(itertools.accumulate(name.split("."), "{}.{}".format))


class Reader:
    """Reads the imports of one module."""

    def __init__(self, module: Module, modules: dict[str, Module]) -> None:
        self.module = module
        self.modules = modules
        self.root = module.name.partition(".")[0]
        self.arrows: list[Arrow] = []
        self.unreadable: list[Unreadable] = []

    def read(self) -> None:
        """Fill `arrows` and `unreadable`."""
        self._walk(self.module.tree, "")
        if is_lazy(self.module) or self.unreadable:
            named = list(self._names_in_strings())
            if not named and self.module.package != self.root and is_lazy(self.modules[self.module.package]):
                inside = f"{self.module.package}."
                named = [
                    (name, each.line) for each in self.unreadable for name in self.modules if name.startswith(inside)
                ]
            if named:
                self.unreadable.clear()
            for name, line in named:
                self._add(name, line, "by a string")

    def _walk(self, node: ast.AST, how: str) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._add(alias.name, node.lineno, how)
        elif isinstance(node, ast.ImportFrom):
            self._add_from(node, how)
        elif isinstance(node, ast.Call) and is_import_call(node.func):
            self._add_call(node)
        if isinstance(node, ast.If) and ends_with(node.test, {"TYPE_CHECKING"}):
            for child in node.body:
                self._walk(child, "type-only")
            for child in node.orelse:
                self._walk(child, how)
            return
        inner = "lazy" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else how
        for child in ast.iter_child_nodes(node):
            self._walk(child, inner)

    def _add(self, name: str, line: int, how: str, names: tuple[str, ...] = ()) -> None:
        """Add the import of a module of this package, and of the packages on the path to it."""
        if name not in self.modules:
            return
        if name != self.module.name:
            self.arrows.append(Arrow(self.module.name, name, line, how, names))
        loaded = packages_of(self.module.name)
        for package in packages_of(name)[:-1]:
            if package not in loaded:
                self.arrows.append(Arrow(self.module.name, package, line, how, implied=True))

    def _add_from(self, node: ast.ImportFrom, how: str) -> None:
        base = node.module or ""
        if node.level:
            start = self.module.package.split(".")
            start = start[: len(start) - node.level + 1]
            base = ".".join([*start, base] if base else start)
        if base.partition(".")[0] != self.root:
            return
        taken = [alias.name for alias in node.names if f"{base}.{alias.name}" not in self.modules]
        for alias in node.names:
            if alias.name not in taken:
                self._add(f"{base}.{alias.name}", node.lineno, how)
        if taken:
            self._add(base, node.lineno, how, tuple(taken))

    def _add_call(self, node: ast.Call) -> None:
        """Add an import by `import_module` or `__import__`; unknown parts of the name match any module."""
        pattern = self._pattern(node.args[0]) if node.args else ANY
        if pattern.startswith(re.escape(".")):
            pattern = re.escape(self.module.package) + pattern
        if pattern.startswith(ANY):
            self.unreadable.append(Unreadable(self.module.name, node.lineno))
            return
        for name in self.modules:
            if re.fullmatch(pattern, name):
                self._add(name, node.lineno, "by a string")

    def _pattern(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=str(text)):
                return re.escape(text)
            case ast.JoinedStr(values=values):
                return "".join(self._pattern(each) for each in values)
            case ast.FormattedValue(value=value):
                return self._pattern(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._pattern(left) + self._pattern(right)
            case ast.Name(id="__name__"):
                return re.escape(self.module.name)
            case ast.Name(id="__package__"):
                return re.escape(self.module.package)
            case ast.Name(id=name):
                values = values_of(name, self.module.tree)
                return f"(?:{'|'.join(map(re.escape, values))})" if values else ANY
        return ANY

    def _names_in_strings(self) -> Iterator[tuple[str, int]]:
        """Yield the modules that strings in this module name, by full name or relative to its package."""
        for statement in self.module.tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and "__all__" in assigned_names(statement):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    for name in (node.value, f"{self.module.package}.{node.value.lstrip('.')}"):
                        if name in self.modules and name != self.root:
                            yield name, node.lineno


ANY = r"[\w.]+"


def is_lazy(module: Module) -> bool:
    """Return whether a module has a `__getattr__`."""
    return any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in top_level(module.tree.body))


def values_of(name: str, tree: ast.Module) -> list[str]:
    """Return all possible values of a name in a module; empty if one of them may not be a constant string."""
    found: list[str] = []
    bound = sum(isinstance(node, ast.arg) and node.arg == name for node in ast.walk(tree))
    bound += sum(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) for node in ast.walk(tree)
    )
    for node in ast.walk(tree):
        match node:
            case (
                ast.For(target=ast.Name(id=target), iter=values)
                | ast.comprehension(target=ast.Name(id=target), iter=values)
            ) if target == name and isinstance(values, ast.Tuple | ast.List | ast.Set):
                texts = values.elts
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                texts = [value]
            case _:
                continue
        if not all(isinstance(text, ast.Constant) and isinstance(text.value, str) for text in texts):
            return []
        found += [str(text.value) for text in texts if isinstance(text, ast.Constant)]
        bound -= 1
    return [] if bound else found


def assigned_names(statement: ast.Assign | ast.AnnAssign) -> set[str]:
    """Return the names that an assignment binds."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, including those under `if` and `try`."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try):
                yield from top_level(getattr(node, part, []))


def ends_with(node: ast.expr, names: set[str]) -> bool:
    """Return whether an expression is one of the names, or an attribute with one of the names."""
    return (isinstance(node, ast.Name) and node.id in names) or (isinstance(node, ast.Attribute) and node.attr in names)


def is_import_call(node: ast.expr) -> bool:
    """Return whether a call of this expression imports a module."""
    return ends_with(node, {"import_module", "__import__"})


def read_imports(modules: dict[str, Module]) -> tuple[list[Arrow], list[Unreadable]]:
    """Return every import between modules of the package, and the imports whose module is unknown."""
    arrows: list[Arrow] = []
    unreadable: list[Unreadable] = []
    for module in modules.values():
        reader = Reader(module, modules)
        reader.read()
        arrows += reader.arrows
        unreadable += reader.unreadable
    return arrows, unreadable


# --- cycles ---


def find_cycles(arrows: list[Arrow]) -> list[list[str]]:
    """Return cycles, shortest first, until no cycle is left after removing one arrow of each.

    n modules can have up to n! cycles; this returns about as many as there are arrows to remove. From each cycle it
    removes a type-only or lazy arrow if there is one, because those are the easiest to fix.
    """
    graph: dict[str, dict[str, str]] = {}
    for arrow in arrows:
        ways = graph.setdefault(arrow.importer, {})
        if ways.get(arrow.imported, "lazy"):  # a top-level import takes precedence over a type-only or lazy one
            ways[arrow.imported] = arrow.how
    cycles = []
    while cycle := shortest_cycle(graph):
        cycles.append(cycle)
        steps = list(itertools.pairwise(cycle))
        start, end = next((step for step in steps if graph[step[0]][step[1]]), steps[-1])
        del graph[start][end]
    return cycles


def shortest_cycle(graph: dict[str, dict[str, str]]) -> list[str]:
    """Return the shortest cycle as a path that ends where it begins; empty if there is no cycle."""
    graph = only_cyclic(graph)
    best: list[str] = []
    for start in graph:
        before: dict[str, str] = {}
        queue = deque([(start, 1)])
        while queue and start not in before:
            node, steps = queue.popleft()
            if best and steps >= len(best) - 1:
                break
            for following in graph[node]:
                if following not in before:
                    before[following] = node
                    queue.append((following, steps + 1))
        if start in before:
            path = [start, before[start]]
            while path[-1] != start:
                path.append(before[path[-1]])
            best = path[::-1]
        if len(best) == 3:
            break
    return best


def only_cyclic(graph: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the modules that are in a cycle or on a path between two cycles."""
    left = graph
    while True:
        imported = set(itertools.chain.from_iterable(left.values()))
        kept = {
            node: {following: how for following, how in ways.items() if following in left}
            for node, ways in left.items()
            if node in imported and any(following in left for following in ways)
        }
        if len(kept) == len(left):
            return kept
        left = kept


# --- private files ---


def find_reaches(arrows: list[Arrow], modules: dict[str, Module]) -> list[tuple[Arrow, str]]:
    """Return the imports by parts above `client` that use private files of another part, and the reason."""
    found = []
    for arrow in arrows:
        part, other = (name.split(".")[1:2] for name in (arrow.importer, arrow.imported))
        if arrow.implied or part == other or not part or not other or part[0] not in ABOVE_CLIENT:
            continue
        package, *inner = arrow.imported.split(".")[1:]
        hidden = [each for each in inner if each.startswith("_")]
        if hidden or (package.startswith("_") and inner):
            shown = ".".join(arrow.imported.split(".")[: 2 + (inner.index(hidden[0]) if hidden else 0)])
            found.append((arrow, f"a private file: import it from {shown}"))
        elif package.startswith("_") and modules[arrow.imported].is_package:
            exported = exports_of(modules[arrow.imported])
            found += [(arrow, f"{name} is not in its __all__") for name in arrow.names if name not in exported]
    return found


def exports_of(module: Module) -> set[str]:
    """Return the strings of a module's `__all__`."""
    return {
        node.value
        for statement in module.tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and "__all__" in assigned_names(statement)
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


# --- the report ---


def main(arguments: list[str]) -> int:
    """Check a package, print the errors, and return the exit code."""
    folder = Path(arguments[0] if arguments else Path(__file__).parent.parent / "wavix_async").resolve()
    modules = read_package(folder)
    if folder.name not in modules:
        print(f"{folder} is not a package", file=sys.stderr)
        return 2
    arrows, unreadable = read_imports(modules)
    cycles, reaches = find_cycles(arrows), find_reaches(arrows, modules)

    def where(importer: str, line: int) -> str:
        return f"{modules[importer].path.relative_to(folder.parent)}:{line}"

    first = {(arrow.importer, arrow.imported): arrow for arrow in sorted(arrows, key=lambda each: bool(each.how))[::-1]}
    for cycle in cycles:
        print(f"cycle: {' -> '.join(cycle)}")
        for step in itertools.pairwise(cycle):
            arrow = first[step]
            how = ", ".join(filter(None, [arrow.how, "through its __init__" if arrow.implied else ""]))
            print(f"    {where(arrow.importer, arrow.line)} imports {arrow.imported}{how and f' ({how})'}")
    for arrow, why in reaches:
        print(f"reach: {where(arrow.importer, arrow.line)} imports {arrow.imported}: {why}")
    for each in unreadable:
        print(f"unreadable: {where(each.importer, each.line)} imports a module whose name is not a constant")
    print(
        f"{len(modules)} modules, {len({(arrow.importer, arrow.imported) for arrow in arrows})} imports: "
        f"{len(cycles)} cycles, {len(reaches)} reaches into private files, {len(unreadable)} unreadable imports"
    )
    return 1 if cycles or reaches or unreadable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
