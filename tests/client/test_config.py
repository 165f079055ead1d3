"""Settings: each wrong one gets an error that names the field and the remedy."""

from __future__ import annotations

import ipaddress
import math
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from yarl import URL

from wavix_async import ConfigurationError, RetryPolicy, Timeouts, WavixClient
from wavix_async.config import Secret

quick = settings(deadline=None, max_examples=60)

KEY = "key-0f9c"


@pytest.mark.req_11
def test_timeouts_by_default() -> None:
    assert Timeouts() == Timeouts(attempt=30.0, connect=10.0, deadline=600.0)
    assert Timeouts(deadline=None).deadline is None


@pytest.mark.parametrize("field", ["attempt", "connect", "deadline"])
@pytest.mark.parametrize("value", [0, -1, -0.5, math.nan, "5", True, [], b"1"])
def test_a_wrong_timeout_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Timeouts\.{field} must be a number greater than 0"):
        Timeouts(**{field: value})


@pytest.mark.req_11
@pytest.mark.parametrize("field", ["attempt", "connect"])
def test_an_attempt_is_always_bounded(field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        Timeouts(**{field: None})


@pytest.mark.req_09
def test_retry_policy_by_default() -> None:
    assert RetryPolicy() == RetryPolicy(
        attempts=4,
        backoff=0.5,
        max_backoff=8.0,
        statuses=frozenset({408, 499, *range(500, 600)}),
        repeat_unknown=True,
        budget_ratio=0.2,
        budget_per_second=10.0,
    )
    assert repr(RetryPolicy()).count("statuses=<408, 499 and every 5xx>") == 1, "a hundred numbers tell a reader less"
    assert "statuses=frozenset({502})" in repr(RetryPolicy(statuses=frozenset({502})))
    assert RetryPolicy.none().attempts == 1
    assert RetryPolicy(statuses=[500, 599]).statuses == frozenset({500, 599})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attempts", 0),
        ("attempts", -4),
        ("attempts", "4"),
        ("attempts", True),
        ("attempts", None),
        ("attempts", math.nan),
        ("backoff", -0.1),
        ("backoff", "1"),
        ("backoff", math.nan),
        ("max_backoff", -1),
        ("budget_ratio", -0.2),
        ("budget_per_second", -1),
        ("budget_per_second", None),
    ],
)
def test_a_wrong_policy_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"RetryPolicy\.{field} must be a number \S+"):
        RetryPolicy(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attempts", 2.5),
        ("attempts", math.inf),
        ("repeat_unknown", 1),
        ("statuses", 500),
        ("statuses", "500"),
        ("statuses", {"500"}),
        ("statuses", None),
    ],
)
def test_a_policy_that_cannot_mean_anything_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"RetryPolicy\.{field}"):
        RetryPolicy(**{field: value})


def test_settings_are_frozen() -> None:
    for made in (Timeouts(), RetryPolicy()):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.attempts = 9  # type: ignore[union-attr, misc]


# --- the key ---


@pytest.mark.parametrize("key", [None, "", "   ", "\n", b"key", 5])
def test_a_missing_key_names_the_remedy(key: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"api_key is missing: pass WavixClient\(api_key=\.\.\.\) or set .* WAVIX_API_KEY"
    ):
        WavixClient(key)


@pytest.mark.req_24
@pytest.mark.parametrize("key", ["ключ", "a\nb", "a\r\nX-Evil: 1", "a\x00b", "a\x7fb", "ké"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key has characters") as caught:
        WavixClient(key)

    assert key not in str(caught.value)


def test_a_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", f"  {KEY}\n")
    WavixClient()
    monkeypatch.setenv("WAVIX_API_KEY", " ")
    with pytest.raises(ConfigurationError, match="WAVIX_API_KEY"):
        WavixClient()


@pytest.mark.req_24
def test_a_secret_hides_itself_where_a_string_would_show() -> None:
    secret = Secret(f"Bearer {KEY}")

    assert secret == f"Bearer {KEY}", "a header still takes it"
    for shown in (repr(secret), f"{secret!r}", repr({"Authorization": secret}), repr([secret]), "%r" % secret):  # noqa: UP031
        assert KEY not in shown


# --- the base URL ---


@pytest.mark.parametrize(
    ("given_", "used"),
    [
        (None, "https://api.wavix.com"),
        ("https://api.example.net", "https://api.example.net"),
        ("https://api.example.net/", "https://api.example.net"),
        ("  https://api.example.net  ", "https://api.example.net"),
        ("https://api.example.net/prefix//", "https://api.example.net/prefix"),
        ("https://api.example.net:8443/a/b/", "https://api.example.net:8443/a/b"),
        ("HTTPS://API.example.net", "https://api.example.net"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://LOCALHOST:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_base_urls(given_: str | None, used: str) -> None:
    assert WavixClient(KEY, base_url=given_).base_url == used


def test_the_base_url_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_BASE_URL", "https://env.example.net/")
    assert WavixClient(KEY).base_url == "https://env.example.net"
    assert WavixClient(KEY, base_url="https://arg.example.net").base_url == "https://arg.example.net"
    monkeypatch.setenv("WAVIX_BASE_URL", "")
    assert WavixClient(KEY).base_url == "https://api.wavix.com"
    monkeypatch.setenv("WAVIX_BASE_URL", "http://env.example.net")
    with pytest.raises(ConfigurationError, match="base_url must use https"):
        WavixClient(KEY)


@pytest.mark.req_24
@pytest.mark.parametrize(
    "url",
    [
        "http://api.wavix.com",
        "HTTP://api.wavix.com",
        "http://127.0.0.1.example.net",
        "http://localhost.example.net",
        "http://localhost@example.net",
        "http://localhost:80@example.net",
        "http://localhost%2eexample.net",
        "http://local\thost.example.net",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::]",
        "http://[::ffff:10.0.0.1]",
        "http://1.0.0.127",
        "http://127.0.0.1.",
    ],
)
def test_the_key_never_leaves_this_machine_in_the_clear(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url must use https: .* Use https://"):
        WavixClient(KEY, base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "api.wavix.com",
        "//api.wavix.com",
        "ftp://api.wavix.com",
        "https://",
        "https:///v1",
        "file:///etc",
        "wss://x",
        5,
    ],
)
def test_a_base_url_that_is_none_is_named(url: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"base_url must be an absolute http\(s\) URL such as https://api\.wavix\.com"
    ):
        WavixClient(KEY, base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://h:99999",
        "https://h:port",
        "https://[::1",
        "https://xn--/",
        "https://h\\@evil.example.net",
        "http://localhost\\@evil.example.net",
    ],
)
def test_a_base_url_that_cannot_be_read_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url is not a URL"):
        WavixClient(KEY, base_url=url)


@pytest.mark.parametrize(
    "url", ["https://user:pw@api.example.net", "https://user@api.example.net", "https://h?appid=1", "https://h/#x"]
)
def test_a_base_url_holds_nothing_but_scheme_host_and_path(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no user, query or fragment") as caught:
        WavixClient(KEY, base_url=url)

    assert "pw" not in str(caught.value)


@pytest.mark.req_24
@given(
    st.text(min_size=1, max_size=20),
    st.sampled_from(["http://", "http://localhost", "http://127.0.0.1", "http://[::1]", ""]),
)
@quick
def test_whatever_is_given_plain_http_stays_on_loopback(text: str, start: str) -> None:
    assume("[" not in start or "@" not in text)  # see the next test
    try:
        client = WavixClient(KEY, base_url=start + text)
    except ConfigurationError:
        return
    used = URL(client.base_url)
    assert used.scheme == "https" or used.host == "localhost" or ipaddress.ip_address(used.host or "").is_loopback


def test_a_base_url_that_makes_yarl_stumble() -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        WavixClient(KEY, base_url="http://[::1]@")


def test_an_encoded_slash_in_the_base_url_stays_one() -> None:
    assert WavixClient(KEY, base_url="https://h.example.net/a%2Fb").base_url == "https://h.example.net/a%2Fb"


# --- the rest of the client's settings ---


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, -math.inf, "50", True, [], 1j])
def test_a_wrong_rate_is_named(rate: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"rate must be a number of requests per second greater than 0, or None"
    ):
        WavixClient(KEY, rate=rate)


@pytest.mark.parametrize("count", [0, -1, 1.5, "10", True, None])
def test_a_wrong_number_of_connections_is_named(count: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"max_connections must be a whole number of 1 or more"):
        WavixClient(KEY, max_connections=count)


@pytest.mark.parametrize("timeout", [0, -1, "5", True, [], math.nan])
def test_a_wrong_timeout_of_a_client_is_named(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"timeout must be a number of seconds greater than 0, or Timeouts"):
        WavixClient(KEY, timeout=timeout)
    with pytest.raises(ConfigurationError, match=r"timeout must be a number of seconds greater than 0, or Timeouts"):
        WavixClient(KEY).with_options(timeout=timeout)


@pytest.mark.parametrize("retry", [3, "none", True, {"attempts": 2}])
def test_a_wrong_policy_of_a_client_is_named(retry: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"retry must be a RetryPolicy, for example RetryPolicy\.none\(\)"):
        WavixClient(KEY, retry=retry)
    with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy"):
        WavixClient(KEY).with_options(retry=retry)


@pytest.mark.parametrize("deadline", [0, -1, "5", True, math.nan])
def test_a_wrong_deadline_is_named(deadline: Any) -> None:
    with pytest.raises(ConfigurationError, match="deadline"):
        WavixClient(KEY).with_options(deadline=deadline)


@pytest.mark.parametrize("setting", [{"observers": print}, {"observers": [5]}, {"session": "https://api.wavix.com"}])
def test_a_setting_of_another_type_is_named(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        WavixClient(KEY, **setting)


def test_a_client_can_be_made_without_a_loop() -> None:
    assert repr(WavixClient(KEY)) == "<WavixClient https://api.wavix.com>"
