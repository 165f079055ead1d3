#!/usr/bin/env python3
"""Check that a tag, the version, the changelog and the list of public names belong to one release.

python .ci/release_check.py v0.2.0
"""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def mistakes(tag: str, root: Path = ROOT) -> list[str]:
    """Return what does not belong together.

    Args:
        tag: The tag of the release, such as `v0.2.0`.
        root: The folder of the checkout.
    """
    found = []
    version = re.search(r'__version__ = "(.+)"', (root / "wavix_async/_version.py").read_text(encoding="utf-8"))
    if version is None or tag != f"v{version[1]}":
        found.append(f"the tag is {tag}, and wavix_async/_version.py says {version and version[1]}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## \[{re.escape(tag.removeprefix('v'))}\] - (\d{{4}}-\d\d-\d\d)$", changelog, re.MULTILINE)
    if section is None:
        found.append(f"CHANGELOG.md has no section '## [{tag.removeprefix('v')}] - YYYY-MM-DD'")
    elif datetime.date.fromisoformat(section[1]) > datetime.datetime.now(datetime.UTC).date():
        found.append(f"CHANGELOG.md dates this version {section[1]}, in the future")
    names = (root / "docs/public-names.txt").read_text(encoding="utf-8")
    if f"# Version {tag.removeprefix('v')}\n" not in names:
        found.append("docs/public-names.txt is of another version: run python .ci/public_names.py --write")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: release_check.py TAG")
    for mistake in (found := mistakes(sys.argv[1])):
        print(mistake, file=sys.stderr)
    sys.exit(1 if found else 0)
