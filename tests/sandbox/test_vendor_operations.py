"""Every operation by the vendor's own SDK, unmodified, with the examples of the description, against the sandbox."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from importlib.util import find_spec
from typing import Any, Final

import aiohttp
import pytest

from tests.support.description import DESCRIBED, examples_of, resolved, wrong_with
from tests.support.operations import operations
from tests.support.vendor import path_of, vendor_methods
from wavix_async.sandbox import Sandbox

wavix = pytest.importorskip("wavix", reason="the vendor's SDK is not installed: pip install wavix-python-sdk==1.1.1")

# httpx, below the vendor's client, is closed by us; what pydantic or httpx deprecate is not ours to fail on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NUMBER: Final = "13125551000"
FOR_SALE: Final = "13131000001"
SOUND: Final = b"RIFF....WAVE"
UNREADABLE: Final = {
    "GET /v1/cdrs/all": "the SDK reads the whole stream as one JSON value",
    "GET /v3/messages/all": "the SDK reads the whole stream as one JSON value",
}
"""Operations whose answers the SDK cannot read, and why."""
OLDER: Final = {"NumberDocument.doc_type_id"}
"""Keys of the description that the SDK, which is newer, has no more."""


# --- the methods of the SDK ---


METHODS: Final = {
    operation: place
    for place, operation in vendor_methods(wavix.AsyncWavix(token="-", base_url="http://127.0.0.1:1")).items()
}
OPERATIONS: Final = [name for name in operations() if name in METHODS or re.sub(r"{\w+}", "{}", name) in METHODS]


def test_the_sdk_has_every_operation() -> None:
    assert set(OPERATIONS) == set(operations())
    assert UNREADABLE.keys() <= DESCRIBED.keys()


def body_of(name: str) -> dict[str, Any]:
    """Return the example of a body, mended where no API would take it."""
    body: dict[str, Any] = {}
    for example in examples_of(DESCRIBED[name].body)[:1]:
        body |= example
    if name == "POST /v3/messages/sender-ids":
        body["countries"] = ["GB"]  # the description says "text"
    elif name == "POST /v1/calls/{id}/collect":
        del body["prompt"]["say"]  # the API takes one of the two
    elif name == "PATCH /v1/numbers":
        body["ids"] = [1001, 1002]
    elif "/10dlc/" in name:
        body |= {"evidence": []} if "evidence" in body else {}
        if name == "POST /v3/10dlc/brands/{brand_id}/vettings/appeals":
            body["appeal_categories"] = ["LOW_SCORE"]
            del body["vetting_id"]
        if body.get("entity_type") == "PRIVATE_PROFIT":
            del body["stock_symbol"], body["stock_exchange"]  # only listed companies have them
    elif "/v1/buy/cart" in name and not name.startswith("GET"):
        body["ids"] = [FOR_SALE]  # the description's are not in the sandbox
    elif name == "POST /v1/two-fa/verification":
        body["service_id"] = next(iter(Sandbox().two_fa_services))
    return body


# --- the state that an operation needs ---


class World:
    """A sandbox, and the records that operations are about, made when an operation needs them."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.answers: list[tuple[int, str | None, bytes]] = []
        self._session = session

    async def make(self, path: str) -> Any:
        """Create a record from the example of the description, and return its id."""
        body = body_of(f"POST {re.sub(r'/[0-9a-f-]{36}', '/{call_id}', path)}")
        async with self._session.post(path, json=body) as answer:
            made = await answer.json()
            assert answer.status < 300, (path, made)
        made = made.get("voice_campaign", made)
        return next(
            made[key]
            for key in ("message_id", "uuid", "stream_id", "id", "url", "request_id", "session_id")
            if key in made
        )

    async def _post(self, path: str, body: Any, described: str | None = None) -> Any:
        body = body_of(f"POST {described}") if described else body
        async with self._session.post(path, **{"json" if isinstance(body, dict) else "data": body}) as answer:
            made = await answer.json()
            assert answer.status < 300, (path, made)
        return made

    async def _ten_dlc_ids(self, name: str) -> AsyncIterator[str]:
        """Give the ids of a brand, and of what belongs to it."""
        path = name.split()[1]
        brands = "/v3/10dlc/brands"
        brand = (await self._post(brands, None, brands))["brand_id"]
        yield brand
        if name.endswith("{brand_id}/appeals"):
            self.sandbox.set_registry_status(brand, "UNVERIFIED")
        elif path.endswith("/vettings/appeals"):
            await self._post(f"{brands}/{brand}/vettings", {"evp_id": "AEGIS", "vetting_class": "STANDARD"})
        elif "{use_case}" in path:
            yield "2FA"
        elif "/evidence/{" in path:
            form = aiohttp.FormData()
            form.add_field("file", SOUND, filename="register.pdf")
            yield (await self._post(f"{brands}/{brand}/evidence", form))["uuid"]
        elif "{campaign_id}" in path:
            campaigns = f"{brands}/{brand}/campaigns"
            campaign = (await self._post(campaigns, None, f"{brands}/{{brand_id}}/campaigns"))["campaign_id"]
            yield campaign
            if path.endswith("/nudge"):
                self.sandbox.advance(72 * 3600)
            elif "{number}" in path:
                number = next(iter(self.sandbox.numbers.values()))["number"]
                if name.startswith("DELETE"):
                    await self._post(f"{campaigns}/{campaign}/numbers/{number}", {})
                yield number

    async def ids(self, name: str) -> list[Any]:
        """Return the ids in the path of an operation."""
        path = name.split()[1]
        if name == "DELETE /v1/calls/webhooks":
            await self.make("/v1/calls/webhooks")
        if name == "DELETE /v3/10dlc/subscriptions":
            await self._post(path, {"subscription_category": "number", "url": "https://example.com/10dlc"})
        if name in ("DELETE /v1/buy/cart", "POST /v1/buy/cart/checkout"):
            await self._session.put("/v1/buy/cart", json={"ids": [FOR_SALE]})
        if "{" not in path:
            return []
        if "/10dlc/" in path:
            return [each async for each in self._ten_dlc_ids(name)]
        if path.startswith("/v1/buy/countries/{country_id}/cities/{city_id}"):
            return [8001, 101]
        if path.startswith("/v1/buy/countries"):
            return [8001, 11] if "{region_id}" in path else [8001]
        if path.startswith("/v1/two-fa"):
            session = await self.make("/v1/two-fa/verification")
            return [next(iter(self.sandbox.two_fa_services)) if "{service_id}" in path else session]
        if path == "/v1/billing/invoices/{id}":
            return [1]
        collection = path.partition("/{")[0]
        if path == "/v1/calls/{id}/answer":
            return [self.sandbox.inbound_call("14155550100", NUMBER)["uuid"]]
        if "/streams/{" in path:
            call = await self.make("/v1/calls")
            return [call, await self.make(f"/v1/calls/{call}/streams")]
        if collection == "/v1/numbers":
            return [next(iter(self.sandbox.numbers))]
        if collection in ("/v1/cdrs", "/v1/recordings"):
            call = self.sandbox.add_call(from_="14155550100", to=NUMBER, transcription=True)
            return [next(iter(self.sandbox.recordings)) if path.endswith("/recordings/{id}") else call["call_id"]]
        if collection == "/v1/speech-analytics":
            form = aiohttp.FormData({"callback_url": "https://example.com/speech"})
            form.add_field("file", SOUND, filename="call.wav")
            async with self._session.post(collection, data=form) as answer:
                return [(await answer.json())["request_id"]]
        return [await self.make(collection)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with (
        Sandbox(numbers=3, files="bytes") as sandbox,
        aiohttp.ClientSession(sandbox.url, headers={"Authorization": f"Bearer {sandbox.api_key}"}) as session,
    ):
        yield World(sandbox, session)


@pytest.fixture
async def vendor(world: World) -> AsyncIterator[Any]:
    import httpx

    async def keep(response: Any) -> None:
        world.answers.append((response.status_code, response.headers.get("content-type"), await response.aread()))

    async with httpx.AsyncClient(verify=False, event_hooks={"response": [keep]}) as transport:
        yield wavix.AsyncWavix(token=world.sandbox.api_key, base_url=world.sandbox.url, httpx_client=transport)


# --- the calls ---


def keywords(name: str, method: Any) -> dict[str, Any]:
    """Return the arguments that the examples of the description make up, as the SDK takes them."""
    described = DESCRIBED[name]
    given: dict[str, Any] = {}
    for each in described.query:
        (given[each["name"]], *_) = examples_of(each)
    if "/two-fa/" in name and "to" in given:
        given["to"] = "2099-12-31"  # the example ends before the sandbox began
    given |= body_of(name)
    if described.form:
        for field, each in resolved(described.form["schema"])["properties"].items():
            given[field] = ("call.wav", SOUND) if each.get("format") == "binary" else examples_of({"schema": each})[0]
    if name == "POST /v1/numbers/papers":
        given |= {"did_ids": "1001", "doc_attachment": ("id.pdf", b"%PDF-1.7"), "doc_id": "id"}
    elif name == "DELETE /v1/numbers":
        given = {"ids": [1001]}
    parameters = inspect.signature(method).parameters
    if "request" in parameters:
        return {"request": given}  # the body of a brand is a union, whose classes lack most of its fields
    found = {key if key in parameters else f"{key}_": value for key, value in given.items()}
    return {key: _typed(value, str(parameters[key].annotation)) for key, value in found.items()}


def _typed(value: Any, annotation: str) -> Any:
    if isinstance(value, str) and re.search(r"\bdate\b", annotation):
        return date.fromisoformat(value[:10])
    if isinstance(value, str) and re.search(r"\bdatetime\b(?!\.)", annotation):
        return datetime.fromisoformat(value)
    return value


def unknown_keys(value: Any) -> list[str]:
    """Return the keys of an answer that the SDK's models do not know."""
    if isinstance(value, list | tuple):
        return [found for each in value for found in unknown_keys(each)]
    fields = getattr(type(value), "model_fields", None)
    if fields is None:
        return []
    extra = [f"{type(value).__name__}.{key}" for key in value.model_extra or ()]
    return extra + [found for field in fields for found in unknown_keys(getattr(value, field))]


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_by_the_sdk(world: World, vendor: Any, name: str) -> None:
    method = path_of(vendor, METHODS.get(name) or METHODS[re.sub(r"{\w+}", "{}", name)])
    ids = await world.ids(name)
    sent = len(world.sandbox.requests)

    result = method(*ids, **keywords(name, method))
    answer: Any = None
    if name in UNREADABLE:
        with pytest.raises(wavix.core.api_error.ApiError):
            await result
    else:
        answer = [each async for each in result] if inspect.isasyncgen(result) else await result

    (request,) = world.sandbox.requests[sent:]
    assert request.status in (200, 201, 202, 204)
    assert set(unknown_keys(answer)) <= OLDER
    assert list(differences(name, *world.answers[-1])) == []


def differences(name: str, status: int, content_type: str | None, body: bytes) -> Iterator[str]:
    """Yield what the description says is wrong with an answer of the sandbox."""
    if find_spec("jsonschema_rs") is None or content_type != "application/json":
        return
    answers = DESCRIBED[name].answers
    stated = answers.get(str(status)) or next(iter(answers.values()))
    schema = stated.get("content", {}).get("application/json", {}).get("schema")
    if schema is not None:
        # The SDK, which is newer than the description, has `doc_type`.
        yield from (each for each in wrong_with(json.loads(body), schema) if "'doc_type' was unexpected" not in each)
