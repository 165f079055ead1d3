"""What the doctor found: one line for each check, or JSON for support."""

import enum
import json
import platform
from collections.abc import Mapping

import aiohttp
from attrs import asdict, field, frozen

from wavix_async._version import __version__

__all__ = ["CheckStatus", "Finding", "Report"]


class CheckStatus(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """Calls may work; something is unusual, or cannot be tested from here."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It needs something that another check found missing."""


@frozen(kw_only=True)
class Finding:
    """What one check found. No text of it has the key, a password, or the path of a webhook URL."""

    check: str
    """What was checked: `settings`, `key`, `proxy`, `dns`, `tls`, `clock`, `scopes` and others."""
    status: CheckStatus
    summary: str
    """What was seen."""
    causes: tuple[str, ...] = ()
    """Every cause that fits what was seen, the likeliest first."""
    remedy: str | None = None
    """What to do; None if nothing is wrong."""
    temporary: bool = False
    """Whether waiting may be enough: a rate limit, or an outage of the API."""
    facts: Mapping[str, object] = field(factory=dict)
    """Figures for support, such as `status` and `request_id`."""

    def __str__(self) -> str:
        text = self.summary
        if len(self.causes) == 1:
            text += f" Cause: {self.causes[0]}."
        elif self.causes:
            text += " Causes: " + "; or ".join(f"({at}) {cause}" for at, cause in enumerate(self.causes, 1)) + "."
        if self.remedy is not None:
            text += f" Remedy: {self.remedy}"
        # One line, whatever the API said.
        return f"{self.status:<7}  {self.check:<8}  {' '.join(text.split())}"


@frozen(kw_only=True)
class Report:
    """All findings of one examination."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed. Warnings do not count."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(each for each in self.findings if each.status is CheckStatus.FAILED)

    @property
    def temporary(self) -> bool:
        """Whether waiting may mend all that failed."""
        return bool(self.failures) and all(each.temporary for each in self.failures)

    def find(self, check: str) -> Finding:
        """Return the finding of a check.

        Args:
            check: The check, such as `key`.

        Raises:
            KeyError: There was no such check.
        """
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)

    def to_json(self) -> str:
        """Return the report as JSON for support, with the versions of this package and of Python. It has no secret."""
        about = {
            "wavix_async": __version__,
            "aiohttp": aiohttp.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
        }
        findings = [asdict(each) for each in self.findings]
        return json.dumps({"ok": self.ok, "about": about, "findings": findings}, indent=2, default=str)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))
