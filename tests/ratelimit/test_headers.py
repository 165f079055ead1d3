"""Retry-After and rate headers, as real servers and broken ones send them, and how a client reads them."""

import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import Number, Operation, RateLimitError, RetryPolicy, ServerError, Success, Timeouts, WavixClient
from wavix_async._ratelimit import MAX_WAIT, RateHint, rate_hint, retry_after

pytestmark = pytest.mark.req_07

NOW = 1_700_000_000.0


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        ("  7 ", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("+3", 3.0),
        ("-4", 0.0),
        ("9" * 500, MAX_WAIT),
        ("31536000000", MAX_WAIT),
        ("31536000", 31_536_000.0),
        (str(int(NOW) + 9), 9.0),
        (str(int(NOW) * 1000 + 2500), 2.5),
        (str(int(NOW) * 1000 - 2500), 0.0),
        ("1, 2", 2.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("0x10", None),
        ("١٢", None),
        ("1s", None),
        ("12:30", None),
        ("Tue, 99 Foo 2023 25:61:61 GMT", None),
        (formatdate(NOW + 5, usegmt=True), 5.0),
        (formatdate(NOW - 5, usegmt=True), 0.0),
        ("Tuesday, 14-Nov-23 22:13:25 GMT", 5.0),
        ("Tue Nov 14 22:13:25 2023", 5.0),
        ("Tue, 14 Nov 2023 22:13:25 -0000", 5.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT),
    ],
)
def test_retry_after_in_every_form(value: str, seconds: float | None) -> None:
    assert retry_after(headers(("Retry-After", value)), NOW) == seconds


def test_retry_after_is_absent() -> None:
    assert retry_after(headers(), NOW) is None


def test_a_date_is_measured_on_the_servers_clock() -> None:
    # The local clock is an hour off; the answer's own Date says what the server meant.
    answer = headers(("Retry-After", formatdate(NOW + 30, usegmt=True)), ("Date", formatdate(NOW, usegmt=True)))
    assert retry_after(answer, NOW + 3600) == 30.0
    assert retry_after(answer, NOW - 3600) == 30.0


def test_a_garbled_date_header_falls_back_to_our_clock() -> None:
    answer = headers(("Retry-After", formatdate(NOW + 30, usegmt=True)), ("Date", "today: noon"))
    assert retry_after(answer, NOW) == 30.0


def test_sent_twice_the_longer_counts() -> None:
    assert retry_after(headers(("Retry-After", "1"), ("retry-after", "3")), NOW) == 3.0
    assert retry_after(headers(("Retry-After", "x"), ("retry-after", "3")), NOW) == 3.0


def test_milliseconds() -> None:
    assert retry_after(headers(("Retry-After-Ms", "250")), NOW) == 0.25
    assert retry_after(headers(("Retry-After-Ms", "250"), ("Retry-After", "1")), NOW) == 1.0


def test_milliseconds_that_are_an_epoch_time() -> None:
    assert retry_after(headers(("Retry-After-Ms", str(int(NOW) * 1000 + 4000))), NOW) == 4.0


def test_a_plain_dict_will_do() -> None:
    assert retry_after({"Retry-After": "2"}, NOW) == 2.0


@given(st.text(max_size=60))
def test_no_text_raises_or_means_a_negative_or_endless_wait(text: str) -> None:
    wait = retry_after({"Retry-After": text, "Retry-After-Ms": text, "Date": text}, NOW)
    assert wait is None or 0.0 <= wait <= MAX_WAIT


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("86400", 86400.0),
        ("86401", None),
        ("1000000000", None),
        (str(int(NOW) + 10), 10.0),
        (str(int(NOW) + 86_400), 86_400.0),
        (str(int(NOW) + 86_401), None),
        (str((int(NOW) + 86_401) * 1000), None),
        ("9999999999", None),
        (str(int(NOW) - 10), 0.0),
        (str(int(NOW * 1000) + 2500), 2.5),
        ("later", None),
    ],
)
def test_the_kind_of_reset_follows_from_its_size(reset: str, seconds: float | None) -> None:
    hint = rate_hint(headers(("X-RateLimit-Remaining", "3"), ("X-RateLimit-Reset", reset)), NOW)
    assert hint == RateHint(remaining=3.0, reset=seconds)


def test_an_epoch_reset_is_measured_on_the_servers_clock() -> None:
    answer = headers(
        ("X-RateLimit-Remaining", "3"),
        ("X-RateLimit-Reset", str(int(NOW) + 10)),
        ("Date", formatdate(NOW, usegmt=True)),
    )
    hint = rate_hint(answer, NOW - 500)
    assert hint is not None
    assert hint.reset == 10.0


@pytest.mark.parametrize(
    ("pairs", "hint"),
    [
        ([("X-RateLimit-Limit", "100"), ("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", "9")],
         RateHint(5.0, 9.0, 100.0)),
        ([("RateLimit-Limit", "100, 100;w=60"), ("RateLimit-Remaining", "5"), ("RateLimit-Reset", "9")],
         RateHint(5.0, 9.0, 100.0, 60.0)),
        ([("RateLimit", '"default";r=50;t=30')], RateHint(50.0, 30.0)),
        ([("RateLimit", '"default";r=50;t=30'), ("RateLimit-Policy", '"default";q=100;w=60')],
         RateHint(50.0, 30.0, 100.0, 60.0)),
        ([("RateLimit", '"a;b,c";r=7 ; t=2'), ("RateLimit-Policy", '"a;b,c";q=9;w=10;pk=:c2Vj:')],
         RateHint(7.0, 2.0, 9.0, 10.0)),
        # the one that runs out first
        ([("RateLimit", '"day";r=900;t=3600, "burst";r=1;t=20'),
          ("RateLimit-Policy", '"burst";q=5;w=20,"day";q=1000;w=86400')], RateHint(1.0, 20.0, 5.0, 20.0)),
        # a policy that does not count requests says nothing about the next one
        ([("RateLimit", '"bytes";r=1;t=20, "n";r=9;t=3'), ("RateLimit-Policy", '"bytes";q=5;qu="content-bytes"')],
         RateHint(9.0, 3.0)),
        ([("RateLimit", "limit=100, remaining=50, reset=5"), ("RateLimit-Policy", "100;w=60")],
         RateHint(50.0, 5.0, 100.0, 60.0)),
        ([("RateLimit", '"default";r=0;t=86401')], RateHint(0.0)),
        ([("RateLimit", "limit=1, remaining=0, reset=86401")], RateHint(0.0, None, 1.0)),
        ([("RateLimit", '"a')], None),
        ([("RateLimit", '"a";t=5')], None),
        ([("X-RateLimit-Remaining", "many")], None),
        ([("X-RateLimit-Limit", "100")], None),
        ([("Content-Type", "application/json")], None),
    ],
)  # fmt: skip
def test_rate_hints(pairs: list[tuple[str, str]], hint: RateHint | None) -> None:
    assert rate_hint(headers(*pairs), NOW) == hint


@given(st.text(alphabet='"abcrtqw;=,. 0123456789\\', max_size=80), st.text(alphabet='"arqw;=, 0123456789', max_size=80))
def test_no_rate_header_raises(limits: str, policy: str) -> None:
    rate_hint({"RateLimit": limits, "RateLimit-Policy": policy}, NOW)
    rate_hint({"X-RateLimit-Limit": policy, "X-RateLimit-Remaining": limits, "X-RateLimit-Reset": limits}, NOW)


# --- through a client, in virtual time ---

GET = Operation("GET", "/v1/numbers/{id}", Number)
BUY = Operation("POST", "/v1/purchases/{id}", Success)
OUR_OWN = 0.15
"""Seconds to wait when the server gives no time."""


def forms(wall: float) -> dict[str, tuple[dict[str, str], float]]:
    """What an answer may say, and the seconds that it means; `wall` is the time on the server's clock."""
    date = formatdate(wall, usegmt=True)
    return {
        "seconds": ({"Retry-After": "7"}, 7),
        "a fraction": ({"Retry-After": "1.25"}, 1.25),
        "milliseconds": ({"Retry-After-Ms": "2500"}, 2.5),
        "folded by a proxy": ({"Retry-After": "2, 5"}, 5),
        "a date": ({"Retry-After": formatdate(wall + 8, usegmt=True), "Date": date}, 8),
        "a date that is past": ({"Retry-After": formatdate(wall - 8, usegmt=True), "Date": date}, OUR_OWN),
        "nought": ({"Retry-After": "0"}, OUR_OWN),
        "negative": ({"Retry-After": "-5"}, OUR_OWN),
        "garbage": ({"Retry-After": "in a while"}, OUR_OWN),
        "empty": ({"Retry-After": ""}, OUR_OWN),
        "nothing": ({}, OUR_OWN),
        "a reset in seconds": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}, 9),
        "a reset and nothing else": ({"X-RateLimit-Reset": "9"}, 9),
        "a reset in epoch seconds": ({"X-RateLimit-Reset": str(int(wall) + 9), "Date": date}, 9),
        "a reset in epoch milliseconds": ({"X-RateLimit-Reset": str(int(wall) * 1000 + 9000), "Date": date}, 9),
        "a reset of no size that means anything": ({"X-RateLimit-Reset": "500000"}, OUR_OWN),
        "a reset that is past": ({"X-RateLimit-Reset": str(int(wall) - 9), "Date": date}, OUR_OWN),
        "RateLimit, draft 10": ({"RateLimit": '"n";r=0;t=6', "RateLimit-Policy": '"n";q=100;w=60'}, 6),
        "RateLimit, draft 7": ({"RateLimit": "limit=100, remaining=0, reset=6"}, 6),
        "both, the order shorter": ({"Retry-After": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}, 9),
        "both, the order longer": ({"Retry-After": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}, 9),
    }


@pytest.mark.parametrize("rate", [None, 50.0], ids=["learned", "configured"])
@pytest.mark.parametrize("operation", [GET, BUY], ids=lambda operation: operation.method)
@pytest.mark.parametrize("form", forms(NOW))
def test_every_form_is_waited_for_and_never_less(form: str, operation: Operation[Any], rate: float | None) -> None:
    # The server's clock is an hour ahead of ours.
    headers, wait = forms(float(int(time.time())) + 3600)[form]
    replies = iter([Reply(429, headers=headers)])
    session = StubSession(lambda _: next(replies, Reply()))

    async def main() -> None:
        client = WavixClient("key", base_url="http://127.0.0.1:1", session=session, rate=rate)  # type: ignore[arg-type]
        await client.call(operation, path={"id": 1})

    run_virtual(main())
    refused, repeated = session.times
    assert wait <= repeated - refused <= wait + 0.03


LONG = [(429, form) for form, (_, wait) in forms(NOW).items() if wait > 1]
# A 503 is a refusal only where it asks to come back.
LONG += [(503, form) for _, form in LONG if any("Retry-After" in name for name in forms(NOW)[form][0])]


@pytest.mark.parametrize(("status", "form"), LONG)
def test_what_does_not_fit_the_deadline_fails_at_once_with_the_seconds(status: int, form: str) -> None:
    headers, wait = forms(float(int(time.time())) + 3600)[form]
    session = StubSession(lambda _: Reply(status, headers=headers))

    async def main() -> None:
        client = WavixClient(
            "key",
            base_url="http://127.0.0.1:1",
            session=session,  # type: ignore[arg-type]
            timeout=Timeouts(deadline=wait - 0.1),
            retry=RetryPolicy(backoff=0),
        )
        with pytest.raises(RateLimitError if status == 429 else ServerError) as caught:
            await client.call(BUY, path={"id": 1})
        assert caught.value.status == status
        assert caught.value.elapsed == 0
        assert caught.value.retry_after == pytest.approx(wait)
        assert (caught.value.attempts, session.requests) == (1, 1)

    run_virtual(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999000"},
        {"RateLimit": '"default";r=0;t=31536000'},
        {"RateLimit": '"default";r=0', "RateLimit-Policy": '"default";q=1;w=31536000'},
        {"RateLimit": "limit=1, remaining=0, reset=31536000"},
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "9999999999"},
    ],
    ids=["epoch", "epoch in milliseconds", "draft 10", "a window", "draft 7", "without X"],
)
@pytest.mark.parametrize("status", [200, 429])
def test_a_reset_in_years_does_not_close_the_client(status: int, headers: dict[str, str]) -> None:
    replies = iter([Reply(status, headers=headers)])
    session = StubSession(lambda _: next(replies, Reply()))

    async def main() -> None:
        client = WavixClient("key", base_url="http://127.0.0.1:1", session=session, timeout=Timeouts(deadline=5))  # type: ignore[arg-type]
        for _ in range(3):
            await client.call(GET, path={"id": 1})

    run_virtual(main())


def test_the_snapshot_tells_a_wait_for_the_reset_of_a_quota() -> None:
    replies = iter([Reply(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "600"})])
    session = StubSession(lambda _: next(replies, Reply()))

    async def main() -> None:
        client = WavixClient("key", base_url="http://127.0.0.1:1", session=session)  # type: ignore[arg-type]
        await client.call(GET, path={"id": 1})
        assert client.limits.snapshot().paused_for == pytest.approx(600, abs=1)
        with pytest.raises(RateLimitError) as caught:
            await client.with_options(deadline=5).call(GET, path={"id": 1})
        assert caught.value.retry_after == pytest.approx(600, abs=1)
        await client.with_options(deadline=700).call(GET, path={"id": 1})
        assert client.limits.snapshot().paused_for == 0

    run_virtual(main())
