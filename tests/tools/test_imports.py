"""The import checks find planted mistakes: cycles of every kind, a wrong import in each layer, a private file.

`.ci/run` runs the same two checks: `.ci/imports.py` and import-linter with the contracts of pyproject.toml.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "imports.py"

# Top to bottom; a part uses those of the lines below it.
LAYERS = [
    ["cli", "fastapi", "_pytest"],
    ["fleet"],
    ["_files"],
    ["_exports"],
    ["testing", "spec", "doctor", "webhooks", "otel", "redis"],
    ["client"],
    ["resources"],
    ["bulk"],
    ["_http"],
    ["models", "_ratelimit", "_instrumentation"],
    ["_codec", "_aio", "config"],
    ["errors"],
    ["types", "_version", "_codes"],
]
AT_THE_ROOT = {
    "__init__",
    "_exports",
    "_version",
    "_pytest",
    "client",
    "config",
    "errors",
    "types",
    "otel",
    "redis",
    "_codes",
}


def load_script() -> object:
    spec = importlib.util.spec_from_file_location("ci_imports", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load_script()
# Most of what the script reads here are the same files.
script.parse = functools.cache(script.parse)  # type: ignore[attr-defined]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "wavix_async", tmp_path / "wavix_async", ignore=ignored))


def plant(package: Path, file: str, code: str) -> str:
    """Append code to a file of the copy; return where its last line is, as the script writes it."""
    path = package / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{code}\n", encoding="utf-8")
    return f"{package.name}/{file}:{len(path.read_text(encoding='utf-8').splitlines())}"


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[[Path], tuple[int, str]]:
    """Run the script on a package: its exit code and what it prints."""

    def run(package: Path) -> tuple[int, str]:
        capsys.readouterr()
        code = script.main([str(package)])  # type: ignore[attr-defined]
        return code, capsys.readouterr().out

    return run


Check = Callable[[Path], tuple[int, str]]


# --- cycles ---


@pytest.mark.parametrize(
    ("file", "code", "arrow"),
    [
        pytest.param(
            "errors.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from wavix_async.client import WavixClient",
            "imports wavix_async.client (type-only)",
            id="type-only",
        ),
        pytest.param(
            "errors.py",
            "import typing\nif typing.TYPE_CHECKING:\n    import wavix_async.client",
            "imports wavix_async.client (type-only)",
            id="type-only, by the attribute",
        ),
        pytest.param(
            "errors.py",
            "class Late:\n  async def later(self):\n    from . import client",
            "imports wavix_async.client (lazy)",
            id="lazy",
        ),
        pytest.param(
            "bulk/_keyed_lock.py",
            "from wavix_async.bulk import BulkRun",
            "imports wavix_async.bulk\n",
            id="a submodule asks its package",
        ),
        pytest.param(
            "errors.py",
            "from wavix_async import WavixClient",
            "imports wavix_async\n",
            id="a module asks the root",
        ),
        pytest.param(
            "errors.py",
            "import wavix_async.bulk._keyed_lock",
            "imports wavix_async.bulk (through its __init__)",
            id="a leaf of a package whose init imports much",
        ),
        pytest.param(
            "errors.py",
            "import importlib\nimportlib.import_module('wavix_async.client')",
            "imports wavix_async.client (by a string)",
            id="import_module",
        ),
        pytest.param(
            "errors.py",
            "__import__('wavix_async.client')",
            "imports wavix_async.client (by a string)",
            id="__import__",
        ),
        pytest.param(
            "errors.py",
            "from importlib import import_module\nimport_module('.client', __package__)",
            "imports wavix_async.client (by a string)",
            id="a relative string",
        ),
        pytest.param(
            "errors.py",
            "from importlib import import_module\ndef load(name):\n    import_module(f'wavix_async.resources.{name}')",
            "imports wavix_async.resources.numbers (by a string)",
            id="a string with a hole",
        ),
        pytest.param(
            "errors.py",
            "def __getattr__(name):\n    return load(TABLE[name])\nTABLE = {'WavixClient': 'client'}",
            "imports wavix_async.client (by a string)",
            id="the table of a lazy module",
        ),
    ],
)
def test_a_planted_cycle_is_found(package: Path, check: Check, file: str, code: str, arrow: str) -> None:
    where = plant(package, file, code)

    exit_code, out = check(package)

    assert exit_code == 1
    assert f"{where} {arrow}" in out
    assert out.startswith("cycle: ")


def test_a_cycle_of_two_leaves_is_found(package: Path, check: Check) -> None:
    plant(package, "otel.py", "def later():\n    import wavix_async.redis")
    plant(package, "redis.py", "if TYPE_CHECKING:\n    from wavix_async import otel")

    exit_code, out = check(package)

    assert exit_code == 1
    assert "cycle: wavix_async.otel -> wavix_async.redis -> wavix_async.otel\n" in out


def make(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "pack"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def test_a_package_that_imports_its_files_is_no_cycle(tmp_path: Path, check: Check) -> None:
    package = make(
        tmp_path,
        {
            "sub/__init__": "from pack.sub.one import ONE\nfrom .two import TWO",
            "sub/one": "from pack.sub.two import TWO\nONE = 1",
            "sub/two": "TWO = 2",
            "other": "from pack.sub import ONE",
        },
    )

    assert check(package) == (0, "5 modules, 4 imports: 0 cycles, 0 reaches into private files, 0 unreadable imports\n")


def test_each_cycle_is_reported_as_a_path(tmp_path: Path, check: Check) -> None:
    package = make(tmp_path, {"a": "import pack.b", "b": "import pack.c", "c": "def f():\n    import pack.a"})

    exit_code, out = check(package)

    assert exit_code == 1
    assert out.splitlines()[:4] == [
        "cycle: pack.a -> pack.b -> pack.c -> pack.a",
        "    pack/a.py:1 imports pack.b",
        "    pack/b.py:1 imports pack.c",
        "    pack/c.py:2 imports pack.a (lazy)",
    ]


def test_an_import_that_cannot_be_read_is_refused(package: Path, check: Check) -> None:
    where = plant(package, "errors.py", "from importlib import import_module\ndef load(name):\n    import_module(name)")

    exit_code, out = check(package)

    assert exit_code == 1
    assert f"unreadable: {where} imports a module whose name is not a constant" in out


def test_a_loop_over_names_imports_these_and_no_others(tmp_path: Path, check: Check) -> None:
    package = make(
        tmp_path,
        {
            "sub/__init__": "for part in ('one', 'two'):\n    import_module(f'{__name__}.{part}')",
            "sub/one": "",
            "sub/two": "",
            "sub/three": "from pack import sub",
        },
    )
    assert check(package) == (0, "5 modules, 3 imports: 0 cycles, 0 reaches into private files, 0 unreadable imports\n")

    (package / "sub" / "two.py").write_text("from pack import sub")

    assert check(package)[0] == 1


def test_a_lazy_package_that_looks_its_modules_up_imports_all_of_them(tmp_path: Path, check: Check) -> None:
    package = make(
        tmp_path,
        {
            "sub/__init__": "def __getattr__(name):\n    return import_module(find(name))",
            "sub/one": "ONE = 1",
            "sub/two": "import pack.other",
            "other": "",
        },
    )
    assert check(package) == (0, "5 modules, 3 imports: 0 cycles, 0 reaches into private files, 0 unreadable imports\n")

    (package / "other.py").write_text("from pack import sub")

    exit_code, out = check(package)
    assert exit_code == 1
    assert "cycle: pack.other -> pack.sub -> pack.sub.two -> pack.other\n" in out.replace(
        "pack.sub -> pack.sub.two -> pack.other -> pack.sub\n", "pack.other -> pack.sub -> pack.sub.two -> pack.other\n"
    )


def test_a_folder_without_a_package_is_no_success(tmp_path: Path, check: Check) -> None:
    assert check(tmp_path)[0] == 2


# --- private files ---


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("from wavix_async._http.transport import Transport", "import it from wavix_async._http"),
        ("def f():\n    from wavix_async._http import transport", "import it from wavix_async._http"),
        ("if TYPE_CHECKING:\n    from wavix_async.fleet._journal import Journal", "import it from wavix_async.fleet"),
        ("from wavix_async._http import Anything", "Anything is not in its __all__"),
    ],
)
def test_a_part_above_the_client_does_not_reach_into_private_files(
    package: Path, check: Check, code: str, why: str
) -> None:
    where = plant(package, "cli/_exit.py", code)

    exit_code, out = check(package)

    assert exit_code == 1
    (line,) = [line for line in out.splitlines() if line.startswith(f"reach: {where} ")]
    assert line.endswith(why)


def test_public_modules_and_what_is_exported_are_no_reach(tmp_path: Path, check: Check) -> None:
    package = make(
        tmp_path,
        {
            "cli": "from pack import config, _http\nfrom pack.models.numbers import X\nfrom pack._http import Call",
            "config": "",
            "models/__init__": "",
            "models/numbers": "X = 1",
            "_http/__init__": "from pack._http.call import Call\n__all__ = ['Call']",
            "_http/call": "class Call: ...",
        },
    )

    assert check(package)[0] == 0


def test_every_part_above_the_client_is_checked() -> None:
    above = list(itertools.takewhile(lambda layer: layer != ["client"], LAYERS))
    assert set(itertools.chain(*above)) == script.ABOVE_CLIENT  # type: ignore[attr-defined]


# --- layers ---


def lint(folder: Path) -> tuple[int, str]:
    """Run import-linter in a folder: its exit code and what it prints, in one line."""
    importlinter = Path(sys.executable).with_name("lint-imports")
    if not importlinter.exists():
        pytest.skip("import-linter is not installed")
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [importlinter, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, " ".join(done.stdout.split())


def file_of(package: Path, part: str) -> str | None:
    """Return the file of a part of the package: its module, or its `__init__`."""
    return next((name for name in (f"{part}.py", f"{part}/__init__.py") if (package / name).exists()), None)


def test_a_wrong_import_in_each_layer_breaks_the_contract(package: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", package.parent)
    upwards = [(lower, upper[0]) for upper, layer in itertools.pairwise(LAYERS) for lower in layer]
    sideways = [pair for layer in LAYERS for pair in itertools.pairwise(layer)]
    others = [("sandbox", "errors"), ("fleet", "sandbox"), ("bulk", "models")]
    planted = []
    for importer, imported in upwards + sideways + others:
        file = file_of(package, importer)
        if file is None or file_of(package, imported) is None:
            continue
        # Type-only, because that is what the contract is most easily blind to.
        where = plant(package, file, f"import typing\nif typing.TYPE_CHECKING:\n    import wavix_async.{imported}")
        planted.append(f"wavix_async.{importer} -> wavix_async.{imported} (l.{where.rpartition(':')[2]})")
    assert len(planted) > 25

    exit_code, out = lint(package.parent)

    assert exit_code == 1
    assert [each for each in planted if each not in out] == []


def test_a_part_that_the_contract_does_not_know_is_refused(package: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", package.parent)
    (package / "stray.py").write_text("", encoding="utf-8")

    exit_code, out = lint(package.parent)

    assert exit_code == 1
    assert "stray" in out


def test_the_contract_counts_type_only_imports() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert settings["exclude_type_checking_imports"] is False
    ignored = [contract for contract in settings["contracts"] if "ignore_imports" in contract]
    assert ignored == []


# --- the package ---


def test_the_package_has_no_cycle_and_no_reach(check: Check) -> None:
    exit_code, out = check(ROOT / "wavix_async")
    assert exit_code == 0, out


def test_the_layers_hold() -> None:
    exit_code, out = lint(ROOT)
    assert exit_code == 0, out


def test_no_file_lies_flat_at_the_root_but_those_of_the_layout() -> None:
    assert {path.stem for path in (ROOT / "wavix_async").glob("*.py")} == AT_THE_ROOT
