"""Give the package's metadata the addresses of the repository that it is released from.

The addresses are not in pyproject.toml, because they belong to the repository, not to the code: a fork that is released
must not send its users to the original. The release workflow runs in the repository, and GitHub sets its name in the
environment. A build from an sdist takes the addresses that the sdist has.
"""

import os
from email.parser import HeaderParser
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

API_REFERENCE = "https://docs.wavix.com"


class ProjectUrls(MetadataHookInterface):
    """Sets the dynamic field `urls`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, object]) -> None:
        """Set the addresses."""
        metadata["urls"] = project_urls(Path(self.root))


def project_urls(root: Path) -> dict[str, str]:
    """Return the addresses by their labels.

    Args:
        root: The folder of pyproject.toml.
    """
    built = root / "PKG-INFO"
    if built.exists():
        lines = HeaderParser().parsestr(built.read_text(encoding="utf-8")).get_all("Project-URL", [])
        return dict(line.split(", ", 1) for line in lines)
    urls = {"API reference": API_REFERENCE}
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    if server and name:
        repository = f"{server}/{name}"
        urls |= {
            "Source": repository,
            "Documentation": f"{repository}/blob/main/docs/index.md",
            "Changelog": f"{repository}/blob/main/CHANGELOG.md",
            "Issues": f"{repository}/issues",
            "Security": f"{repository}/security/advisories/new",
        }
    return urls
