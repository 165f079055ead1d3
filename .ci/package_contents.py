#!/usr/bin/env python3
"""Check what is in the sdist and the wheel, and print a summary.

    python .ci/package_contents.py dist/*

The wheel has the package and its metadata, and nothing else. The sdist has what is needed to build, test and read. No
archive has a file that git does not know, a cache, a key or a path outside its own folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNWANTED = re.compile(r"(^|/)(__pycache__|\.venv|\.git|\.env|node_modules)(/|$)|\.(pyc|pyo|so|log|pem|key)$")
NEEDED_IN_SDIST = (
    "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "constraints.txt", "docs/fleets.md",
    "tests/conftest.py", "examples/fleet.csv", "PKG-INFO",
)  # fmt: skip
NEEDED_IN_WHEEL = ("wavix_async/py.typed", "wavix_async/spec/openapi.json", "wavix_async/spec/known.json")
NEEDED_METADATA = ("Name", "Version", "Summary", "License-Expression", "Requires-Python", "Description-Content-Type")


def check_sdist(path: Path) -> list[str]:
    """Return the mistakes in a .tar.gz."""
    with tarfile.open(path) as archive:
        entries = archive.getmembers()
    top = path.name.removesuffix(".tar.gz")
    mistakes = [f"{entry.name} is a link or a device" for entry in entries if not (entry.isfile() or entry.isdir())]
    names = [entry.name for entry in entries if entry.isfile()]
    mistakes += [f"{name} is outside {top}/" for name in names if not name.startswith(top + "/")]
    inner = [name.removeprefix(top + "/") for name in names]
    mistakes += _unwanted(inner)
    mistakes += [f"{name} is missing" for name in NEEDED_IN_SDIST if name not in inner]
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
        known = set(listed.stdout.splitlines())
        mistakes += [f"git does not know {name}" for name in inner if name not in known | {"PKG-INFO"}]
    print(f"{path.name}: {path.stat().st_size / 1000:,.0f} kB, {_summary(inner)}")
    return mistakes


def check_wheel(path: Path) -> list[str]:
    """Return the mistakes in a .whl."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        fields = HeaderParser().parsestr(archive.read(metadata).decode())
    folder = metadata.partition("/")[0]
    mistakes = [
        f"{name} is no part of the package" for name in names if not name.startswith(("wavix_async/", folder + "/"))
    ]
    mistakes += _unwanted(names)
    mistakes += [f"{name} is missing" for name in NEEDED_IN_WHEEL if name not in names]
    mistakes += [f"the metadata has no {name}" for name in NEEDED_METADATA if not fields[name]]
    if not path.name.endswith("-py3-none-any.whl"):
        mistakes.append("the wheel is not for every platform")
    source = {str(file.relative_to(ROOT)) for file in (ROOT / "wavix_async").rglob("*.py")}
    mistakes += [f"{name} is not in the wheel" for name in source - set(names)]
    print(f"{path.name}: {path.stat().st_size / 1000:,.0f} kB, {_summary(names)}")
    urls = fields.get_all("Project-URL", [])
    for url in urls:
        print(f"  {url}")
    mistakes += [f"no URL has {name}" for name in [os.environ.get("GITHUB_REPOSITORY", "")] if name not in str(urls)]
    return mistakes


def _unwanted(names: Iterable[str]) -> list[str]:
    return [f"{name} does not belong there" for name in names if _is_unwanted(name)]


def _is_unwanted(name: str) -> bool:
    # The certificates of tests are for this machine only.
    return ".." in Path(name).parts or (UNWANTED.search(name) is not None and not name.startswith("tests/data/tls/"))


def _summary(names: Iterable[str]) -> str:
    counts = Counter(name.partition("/")[0] if "/" in name else "." for name in names)
    return ", ".join(f"{count} in {folder}" for folder, count in sorted(counts.items()))


def main(paths: list[str]) -> int:
    """Check all files."""
    mistakes: list[str] = []
    for path in map(Path, paths):
        mistakes += check_wheel(path) if path.suffix == ".whl" else check_sdist(path)
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes or len(paths) != 2 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
