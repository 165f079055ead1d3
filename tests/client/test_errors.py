"""The exceptions: their hierarchy, what each carries, and that a pickle keeps all of it."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

import wavix_async
from wavix_async import (
    APIError,
    AttemptTimeoutError,
    BulkError,
    BulkReport,
    BulkResult,
    BulkStatus,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    DisconnectedError,
    InputError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    TransportError,
    WavixError,
    errors,
)

pytestmark = pytest.mark.req_24

ALL = sorted(
    [*(kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, WavixError)), BulkError],
    key=lambda kind: kind.__name__,
)
FACTS = (
    "message",
    "status",
    "code",
    "request_id",
    "date",
    "attempts",
    "elapsed",
    "retry_after",
    "retryable",
    "outcome",
    "reason",
    "details",
    "not_retried",
)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_public_and_documented(kind: type[WavixError]) -> None:
    assert getattr(wavix_async, kind.__name__) is kind
    assert kind.__name__ in wavix_async.__all__
    assert kind.__name__ in (wavix_async.bulk if kind is BulkError else errors).__all__
    assert kind.__doc__
    assert kind.__name__ in str(errors.__doc__), "the tree in the docstring lacks it"


def test_the_tree_is_as_drawn() -> None:
    """Hold each line of the drawing against the class: its parent by indent, its builtin base in brackets."""
    stack: list[tuple[int, str]] = []
    drawn = set()
    for line in str(errors.__doc__).splitlines():
        name = next((word for word in line.split() if word.endswith("Error") and word[0].isalpha()), None)
        if name is None or not hasattr(wavix_async, name) or not line.startswith("    "):
            continue
        indent = line.index(name)
        while stack and stack[-1][0] >= indent:
            stack.pop()
        if stack:
            assert getattr(wavix_async, name).__bases__[0].__name__ == stack[-1][1], name
        stack.append((indent, name))
        drawn.add(name)
        if f"{name} (" in line:
            builtin = line.split(f"{name} (")[1].split(")")[0]
            assert builtin in {base.__name__ for base in getattr(wavix_async, name).__mro__}, name
    assert drawn == {kind.__name__ for kind in ALL}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (InputError, ValueError),
        (ConfigurationError, ValueError),
        (ClientClosedError, RuntimeError),
        (AttemptTimeoutError, TimeoutError),
        (DeadlineExceededError, TimeoutError),
    ],
)
def test_errors_are_the_builtin_that_one_would_catch(kind: type[WavixError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
    with pytest.raises(builtin, match="said"):
        raise kind("said")


@pytest.mark.parametrize(
    ("kind", "outcome", "retryable"),
    [
        (WavixError, "unknown", False),
        (InputError, "not_sent", False),
        (ConfigurationError, "not_sent", False),
        (ClientClosedError, "not_sent", False),
        (TransportError, "unknown", True),
        (ConnectError, "not_sent", True),
        (DisconnectedError, "unknown", True),
        (AttemptTimeoutError, "unknown", True),
        (DeadlineExceededError, "unknown", True),
        (OutcomeUnknownError, "unknown", False),
        (DecodeError, "unknown", False),
        (APIError, "rejected", False),
        (NotFoundError, "rejected", False),
        (RateLimitError, "rejected", True),
        (ServerError, "unknown", True),
    ],
)
def test_what_an_error_says_by_default(kind: type[WavixError], outcome: str, retryable: bool) -> None:
    error = kind("x")

    assert (error.outcome, error.retryable, error.attempts, error.elapsed) == (outcome, retryable, 0, 0.0)
    assert kind("x", outcome="rejected", retryable=True).outcome == "rejected" if kind is not BulkError else True


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (200, "APIError"),
        (302, "APIError"),
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (402, "PaymentRequiredError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (408, "APIError"),
        (409, "ConflictError"),
        (413, "ContentTooLargeError"),
        (418, "APIError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "ServerError"),
        (503, "ServerError"),
        (599, "ServerError"),
        (999, "ServerError"),
    ],
)
def test_a_class_for_every_status(status: int, name: str) -> None:
    assert errors.error_for_status(status).__name__ == name


def filled(kind: type[WavixError]) -> WavixError:
    if kind is BulkError:
        inner = NotFoundError("HTTP 404", status=404, details={"message": "gone"})
        return BulkError(
            "1 of 2",
            report=BulkReport(
                succeeded=1,
                failed=1,
                unknown=0,
                not_sent=0,
                failures=[BulkResult(7, BulkStatus.FAILED, error=inner, attempts=1)],
                requests=2,
                rate_limited=0,
                elapsed=0.5,
            ),
        )
    more: dict[str, Any] = {"paths": ("$.id: expected int, found str",)} if kind is DecodeError else {}
    return kind(
        "what happened",
        status=418,
        code="012",
        request_id="req-1",
        date=datetime(2025, 1, 31, 12, tzinfo=UTC),
        retry_after=2.5,
        outcome="rejected",
        retryable=True,
        reason="x",
        details={"message": "x", "errors": [1, None]},
        **more,
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_a_pickle_with_all_its_facts(kind: type[WavixError], protocol: int) -> None:
    error = filled(kind)
    error.attempts, error.elapsed, error.not_retried = 3, 1.25, "Not retried."
    error.add_note("on the way")

    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == str(error) == error.message
        assert again.args == error.args
        assert {fact: getattr(again, fact) for fact in FACTS} == {fact: getattr(error, fact) for fact in FACTS}
        assert again.__notes__ == ["on the way"]
        if isinstance(error, DecodeError):
            assert again.paths == error.paths
        if isinstance(error, BulkError):
            report = again.report
            assert (report.updated, report.total, report.failures[0].id) == (1, 2, 7)
            assert report.failures[0].error.details == {"message": "gone"}


def test_nothing_is_needed_to_make_one() -> None:
    for kind in ALL:
        assert str(kind()) == ""
        assert repr(kind("x")).startswith(kind.__name__)


# --- the meaning of the API's own codes ---


@pytest.mark.parametrize(
    ("code", "meaning", "url"),
    [
        ("26", "limit of messages per second", "https://docs.wavix.com/messaging/errors/26"),
        ("47", "within an hour", "https://docs.wavix.com/messaging/errors/47"),
        ("55", "was not sent again", "https://docs.wavix.com/messaging/errors/55"),
        # The vendor has a page for it, and our sources do not say what it means.
        ("44", None, "https://docs.wavix.com/messaging/errors/44"),
        ("012", "Access is denied", None),
        ("091", "balance", None),
        ("12345", None, None),
        ("26/../../evil", None, None),
        (None, None, None),
    ],
)
def test_a_known_code_has_a_meaning_or_a_page(code: str | None, meaning: str | None, url: str | None) -> None:
    error = NotFoundError("x", code=code)
    assert (error.help is None) if meaning is None else (meaning in (error.help or ""))
    assert error.help_url == url
