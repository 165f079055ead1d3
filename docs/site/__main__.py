"""Builds the site: `python -m docs.site [DIRECTORY]`, `build/site` by default. It needs no network."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from docs.site.llms import write_for_models
from docs.site.search import find_numbers
from docs.site.stage import ROOT, stage

HERE = Path(__file__).parent


def build(to: Path, work: Path) -> int:
    """Build the site into `to`; `work` is for the staged pages. Return 1 if there is a warning."""
    for directory in (to, work):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    stage(work / "pages")
    doctrees = work / "doctrees"
    with patch_docutils(), docutils_namespace():
        app = Sphinx(work / "pages", HERE, to, doctrees, "html", warningiserror=True, keep_going=True, status=None)
        app.build()
        if app.statuscode == 0:
            write_for_models(app, to)
            find_numbers(to)
            # Each picture is a link to its file, and the Markdown shows it.
            for picture in [*(work / "pages").rglob("*.svg"), *(work / "pages").rglob("*.png")]:
                copy = to / picture.relative_to(work / "pages")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, copy)
            # Only a later build would need it.
            (to / ".buildinfo").unlink(missing_ok=True)
    return app.statuscode


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.site", description="Build the documentation site.")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "build" / "site")
    given = parser.parse_args()
    start = time.perf_counter()
    code = build(given.directory, ROOT / "build" / "site-work")
    if code == 0:
        files = [path for path in given.directory.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        print(f"{given.directory}/index.html: {len(files)} files, {size:.1f} MB, {time.perf_counter() - start:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
