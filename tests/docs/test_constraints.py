"""`constraints.txt`: every version that the project is installed with where it is tested."""

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
with (ROOT / "pyproject.toml").open("rb") as stream:
    PROJECT = tomllib.load(stream)

LINE = re.compile(r"(?P<name>[a-z0-9]+(-[a-z0-9]+)*)==(?P<version>[0-9][a-z0-9.]*)(; (?P<marker>.+))?")
PINS = {found["name"]: Version(found["version"]) for line in LINES if (found := LINE.fullmatch(line))}


def of_group(name: str) -> list[str]:
    """Return what a group requires, with that of the groups that it includes."""
    group: list[str] = []
    for entry in PROJECT["dependency-groups"][name]:
        group += [entry] if isinstance(entry, str) else of_group(entry["include-group"])
    return group


def direct() -> list[Any]:
    extras = itertools.chain.from_iterable(PROJECT["project"]["optional-dependencies"].values())
    wanted = [*PROJECT["project"]["dependencies"], *extras, *of_group("test"), *of_group("dev")]
    ours = canonicalize_name(PROJECT["project"]["name"])
    requirements = [Requirement(each) for each in sorted(set(wanted))]
    return [pytest.param(each, id=str(each)) for each in requirements if canonicalize_name(each.name) != ours]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_name_and_a_version(line: str) -> None:
    """No address, no hash, no comment: the user of the file chooses the index."""
    found = LINE.fullmatch(line)
    assert found
    assert "/" not in line
    if found["marker"]:
        Marker(found["marker"])


def test_the_lines_are_in_order_and_each_name_is_there_once() -> None:
    assert sorted(LINES) == LINES
    assert len(PINS) == len(LINES)


@pytest.mark.parametrize("requirement", direct())
def test_what_is_required_is_pinned_to_a_version_that_is_allowed(requirement: Requirement) -> None:
    assert requirement.url is None
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)], prereleases=True)


@pytest.mark.parametrize("requirement", PROJECT["build-system"]["requires"])
def test_what_builds_is_pinned_to_the_same_versions(requirement: str) -> None:
    """Constraints do not reach the environment that pip builds in."""
    found = LINE.fullmatch(requirement)
    assert found
    assert PINS.get(found["name"], Version(found["version"])) == Version(found["version"])


def test_the_commands_agree_on_one_pip() -> None:
    files = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")]
    said = [re.findall(r"pip install -q (?:--upgrade )?pip(\S*)", file.read_text(encoding="utf-8")) for file in files]
    assert all(said)
    assert len(versions := set(itertools.chain.from_iterable(said))) == 1
    assert versions.pop().startswith("==")
