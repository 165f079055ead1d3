"""`explain` and `whoami`."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wavix_async import AuthenticationError, BulkError, WavixClient, errors
from wavix_async._codes import CODES
from wavix_async.doctor import explain, whoami
from wavix_async.fleet import FleetFileError, MissingNumbersError, SafetyError, StalePlanError
from wavix_async.sandbox import Sandbox


def groups(code: str | int) -> list[str]:
    return [each.group for each in explain(code)]


def test_groups_that_use_the_same_number_are_all_listed() -> None:
    limit, payment = explain("26")
    assert (limit.group, payment.group) == ("messages (error code)", "billing (type of a transaction)")
    assert "messages per second" in limit.text
    assert limit.url == "https://docs.wavix.com/messaging/errors/26"
    assert "subscription payment" in payment.text
    assert groups(403) == [
        "SIP (RFC 3261, in the log of a trunk's phone system)",
        "HTTP status (PermissionDeniedError)",
    ]
    assert explain("HTTP 403") == explain(403)
    assert groups("12") == ["number validation (error_code)", "2FA (error_code)", "messages (error code)"]
    assert len(groups("expired")) == 2


def test_a_code_with_a_page_and_without_a_published_meaning_has_its_link() -> None:
    found = next(each for each in explain("44") if each.url)
    assert found.url == "https://docs.wavix.com/messaging/errors/44"
    assert "Wavix support" in (found.remedy or "")


@pytest.mark.parametrize("code", ["091", "91", " 091 ", 91])
def test_a_code_is_found_with_and_without_its_zero(code: str | int) -> None:
    assert explain(code)[0].code == "091"


def test_smpp_adds_a_thousand() -> None:
    assert "limit of messages per second" in explain("1026")[0].text
    assert explain("1999") == ()


@pytest.mark.parametrize("word", ["", "nonsense", "999", "-1", "1e3", "२६", "²", "26/../x", "x" * 10_000, "0" * 9_999])
def test_what_is_not_known_has_no_meaning(word: str) -> None:
    assert explain(word) == ()


def test_an_error_class_is_found_in_any_case() -> None:
    (found,) = explain("outcomeunknownerror")
    assert found.code == "OutcomeUnknownError"
    assert "may have been carried out" in found.text
    assert "Attributes" not in str(found)
    assert "before you send it again" in (found.remedy or "")


OTHERS = [kind.__name__ for kind in (BulkError, FleetFileError, MissingNumbersError, SafetyError, StalePlanError)]


@pytest.mark.parametrize("name", [*errors.__all__, *OTHERS])
def test_every_error_says_when_it_is_raised_and_what_to_do(name: str) -> None:
    (found,) = explain(name)
    assert found.text.endswith(".")
    assert found.remedy


@pytest.mark.parametrize("entry", CODES)
def test_every_entry_of_the_table_is_found(entry: object) -> None:
    group, code, meaning, remedy = entry  # type: ignore[misc]
    assert any(each.text == meaning and each.code == code for each in explain(code))
    assert meaning.endswith(".")
    assert remedy == "" or remedy.endswith(".")
    assert group


async def test_whoami_reads_account_balance_and_limits() -> None:
    async with Sandbox(numbers=0, balance="12.50", rate=1000, rate_headers="x") as sandbox:
        async with WavixClient(sandbox.api_key, base_url=sandbox.url, rate=50) as wavix:
            account = await whoami(wavix)
        assert [request.method for request in sandbox.requests] == ["GET"] * 3
    assert (account.balance, account.company, account.max_sip_channels) == (Decimal("12.5"), "Sandbox Ltd", 8)
    assert (account.rate, account.rate_source) == (50, "configured")
    assert account.remaining is not None
    shown = str(account)
    for line in ("Account    4001 Sandbox Ltd", "Balance    12.5", "Rate       50 requests/s (configured)"):
        assert line in shown
    assert "Refused" not in shown


async def test_whoami_without_a_scope_says_which_is_missing() -> None:
    async with Sandbox(numbers=0, scopes={"billing": "read"}) as sandbox:
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            account = await whoami(wavix)
        async with WavixClient("key-that-is-wrong", base_url=sandbox.url) as wavix:
            with pytest.raises(AuthenticationError):
                await whoami(wavix)
    assert (account.balance, account.refused) == (None, ("account:read",))
    assert account.last_statement


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("wavix_async.errors.RateLimitError: HTTP 429 for GET /v1/profile", ["RateLimitError", "429"]),
        ("PermissionDeniedError: HTTP 403", ["PermissionDeniedError", "403"]),
        ("HTTP/1.1 404 Not Found", ["404", "404"]),
        ("HTTP 429", ["429"]),
        ("error 55", ["55"]),
    ],
)
def test_a_line_that_is_copied_from_a_log(line: str, codes: list[str]) -> None:
    found = [each.code for each in explain(line)]
    assert [code for code in found if code in codes] == found
    assert set(found) == set(codes)
