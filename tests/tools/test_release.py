"""The files of a release: the workflows, the addresses in the metadata, the check of a tag."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

import wavix_async

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_exists_with_actions_that_cannot_change(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert steps
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step
        for script in re.findall(r"\.ci/[\w.]+", step.get("run", "")):
            assert (ROOT / script).is_file(), step
        # A tag or a branch name is text of others: no step may put it into a command.
        assert "${{" not in step.get("run", ""), step
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 45


def test_only_the_job_that_publishes_may_sign_in_and_it_builds_nothing() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    publish = jobs.pop("publish")
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert not any("run" in step for step in publish["steps"])
    assert all("id-token" not in job.get("permissions", {}) for job in jobs.values())


@pytest.fixture
def project_urls(monkeypatch: pytest.MonkeyPatch) -> Any:
    # hatchling is installed only where a package is built.
    interface = types.ModuleType("hatchling.metadata.plugin.interface")
    interface.MetadataHookInterface = object  # type: ignore[attr-defined]
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", interface)
    return load("project_urls")


def test_the_metadata_has_the_addresses_of_the_repository(
    project_urls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/sdk")
    urls = project_urls.project_urls(tmp_path)
    assert urls["Source"] == "https://git.example/acme/sdk"
    assert {"Changelog", "Documentation", "Issues", "Security"} < set(urls)
    for url in urls.values():
        for path in re.findall(r"/blob/main/(.+)", url):
            assert (ROOT / path).is_file()


def test_a_build_from_an_sdist_keeps_its_addresses(
    project_urls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert set(project_urls.project_urls(tmp_path)) == {"API reference"}
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\nProject-URL: Source, https://git.example/acme/sdk\n")
    assert project_urls.project_urls(tmp_path) == {"Source": "https://git.example/acme/sdk"}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    for folder in ("wavix_async", "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "wavix_async/_version.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-31\n\n- New.\n")
    (tmp_path / "docs/public-names.txt").write_text("# Names.\n# Version 1.2.3\n")
    return tmp_path


def test_a_release_is_of_one_piece(release: Path) -> None:
    check = load("release_check").mistakes
    assert check("v1.2.3", release) == []
    assert [each for each in check("v1.2.4", release) if "_version.py" in each]
    assert len(check("1.2.3", release)) == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("CHANGELOG.md", "## [1.2.3] - 2026-01-31", "## [1.2.3]", "no section"),
        ("CHANGELOG.md", "2026-01-31", "2999-01-31", "in the future"),
        ("docs/public-names.txt", "1.2.3", "1.2.2", "public-names.txt"),
        ("wavix_async/_version.py", "1.2.3", "1.2.2", "_version.py"),
    ],
)
def test_a_piece_of_another_release_is_named(release: Path, file: str, old: str, new: str, named: str) -> None:
    path = release / file
    path.write_text(path.read_text().replace(old, new))
    [mistake] = load("release_check").mistakes("v1.2.3", release)
    assert named in mistake


def test_the_version_of_the_package_is_ready_for_its_tag() -> None:
    assert load("release_check").mistakes(f"v{wavix_async.__version__}") == []
