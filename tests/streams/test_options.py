"""Headers, query, proxy and receipts of files and exports: the host of a file gets none of the caller's headers."""

from __future__ import annotations

from tests.conftest import KEY
from tests.streams.server import answer, chunked, serving
from wavix_async import Download, Operation, RetryPolicy, WavixClient

FILE = Operation("GET", "/v1/recordings/{id}", Download)
SECRETS = ("authorization", "x-team", "proxy-authorization")


async def test_the_host_of_a_file_gets_no_headers_of_the_caller() -> None:
    async with (
        serving(answer(b"sound"), sees_key=False) as files,
        serving(answer(status=302, Location=f"{files.url}/a.mp3?sig=abcdef", X_Request_Id="req-1")) as api,
        WavixClient(KEY, base_url=api.url, app_info=("my-service", "1.2")) as wavix,
    ):
        teamed = wavix.with_options(headers={"X-Team": "a"}, query={"trace": True})
        with wavix.record() as calls:
            receipt = await wavix.receipt(teamed.download(FILE, path={"id": "1"}))
        assert (api.asked[0].headers["x-team"], api.asked[0].target) == ("a", "/v1/recordings/1?trace=true")
        assert files.asked[0].target == "/a.mp3?sig=abcdef"
        assert not any(name in files.asked[0].headers for name in SECRETS)
        assert all(each.asked[0].headers["user-agent"].endswith(" my-service/1.2") for each in (api, files))
    assert (receipt.value, receipt.status, receipt.request_id, receipt.attempts) == (b"sound", 302, "req-1", 1)
    assert receipt.headers["Location"] == "<hidden>"
    assert [(call.value, call.request_id) for call in calls] == [(None, "req-1")]


async def test_an_export_has_a_receipt_when_its_first_rows_are_there() -> None:
    async with (
        serving(answer(status=500), chunked(b'{"message_id": "m1"}\n')) as server,
        WavixClient(KEY, base_url=server.url, retry=RetryPolicy(backoff=0)) as wavix,
    ):
        with wavix.record() as calls:
            rows = [row.message_id async for row in wavix.messages.export(type="outbound")]
    assert rows == ["m1"]
    assert [(call.operation, call.status, call.attempts) for call in calls] == [("GET /v3/messages/all", 200, 2)]


async def test_files_go_through_the_proxy_of_the_client() -> None:
    """Also from another host; only the proxy and the API get what is meant for them."""
    scripts = (answer(status=302, Location="http://127.0.0.2:9/a.mp3"), answer(b"sound"))
    async with serving(*scripts) as proxy:
        url = proxy.url.replace("http://", "http://user:password@")
        async with WavixClient(KEY, base_url="http://127.0.0.1:9", proxy=url) as wavix:
            assert await wavix.with_options(headers={"X-Team": "a"}).download(FILE, path={"id": "1"}) == b"sound"
    assert [asked.target for asked in proxy.asked] == ["http://127.0.0.1:9/v1/recordings/1", "http://127.0.0.2:9/a.mp3"]
    assert [[name in asked.headers for name in SECRETS] for asked in proxy.asked] == [[True] * 3, [False, False, True]]
