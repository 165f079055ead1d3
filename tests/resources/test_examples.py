"""Every operation with the examples of the API's own description, against a server that checks each request by it.

The server is not ours but the description's: it takes what the schemas allow, and answers with the examples.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import attrs
import pytest
from aiohttp import BodyPartReader, web

from tests.support.description import DESCRIBED, Described, examples_of, resolved, wrong_with
from tests.support.example_calls import FILE, arguments, truth
from tests.support.operations import methods, operations
from wavix_async import Operation, RetryPolicy, Success, WavixClient, to_dict
from wavix_async._http import Download, Export
from wavix_async.models import Model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytest.importorskip("jsonschema_rs", reason="pip install jsonschema-rs")

OPERATIONS: Final = operations()
METHODS: Final = methods()


# --- the server ---


@attrs.define
class Server:
    """Answers one operation, and keeps what is wrong with the requests."""

    described: Described
    status: int
    content_type: str
    answer: bytes
    url: str = ""
    wrong: list[str] = attrs.field(factory=list)
    served: int = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/the-file":
            return web.Response(body=FILE, content_type="audio/wav")
        self.served += 1
        self.wrong += [each async for each in self._wrong_with(request)]
        headers = {"Content-Type": self.content_type}
        if "Location" in self.described.answers.get(str(self.status), {}).get("headers", {}):
            headers["Location"] = f"{self.url}/the-file"
        return web.Response(status=self.status, body=self.answer, headers=headers)

    async def _wrong_with(self, request: web.BaseRequest) -> AsyncIterator[str]:
        described = self.described
        path = re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(described.path))
        found = re.fullmatch(path, request.path)
        if found is None or request.method != described.method:
            yield f"{request.method} {request.path} is not {described.method} {described.path}"
            return
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            yield "no key"
        in_path = [each for each in described.parameters if each["in"] == "path"]
        for parameter, text in zip(in_path, found.groups(), strict=True):
            for each in wrong_with(of_text(unquote(text), parameter["schema"]), parameter["schema"]):
                yield f"{parameter['name']}: {each}"
        for each in self._wrong_with_query(request):
            yield each
        async for each in self._wrong_with_body(request):
            yield each

    def _wrong_with_query(self, request: web.BaseRequest) -> Iterator[str]:
        known = {each["name"]: each for each in self.described.query}
        given = {name.removesuffix("[]") for name in request.query}
        yield from (f"unknown parameter {name}" for name in given - known.keys())
        yield from (f"missing {name}" for name, each in known.items() if each.get("required") and name not in given)
        for name in given & known.keys():
            schema = known[name]["schema"]
            texts = request.query.getall(name, []) + request.query.getall(f"{name}[]", [])
            kinds = [each.get("type") for each in resolved(schema).get("oneOf", [resolved(schema)])]
            if "array" in kinds:
                schema = next(each for each in resolved(schema).get("oneOf", [schema]) if each.get("type") == "array")
                value: Any = [of_text(text, schema["items"]) for text in texts]
            else:
                value = of_text(texts[-1], schema)
            yield from (f"{name}: {each}" for each in wrong_with(value, schema))

    async def _wrong_with_body(self, request: web.BaseRequest) -> AsyncIterator[str]:
        described = self.described
        if described.form:
            properties = resolved(described.form["schema"])["properties"]
            names = [part.name async for part in await request.multipart() if isinstance(part, BodyPartReader)]
            for name in set(names) - properties.keys():
                yield f"unknown part {name}"
            for name in set(resolved(described.form["schema"])["required"]) - set(names):
                yield f"missing part {name}"
        elif described.body:
            if request.content_type != "application/json":
                yield f"the body is {request.content_type}"
            for each in wrong_with(await request.json(), described.body["schema"]):
                yield each
        elif await request.read():
            yield "a body that is not described"


def of_text(text: str, schema: Any) -> Any:
    """Return the value that the text of a parameter stands for."""
    schema = resolved(schema)
    kind = next((each["type"] for each in (schema, *map(resolved, schema.get("allOf", ()))) if "type" in each), None)
    if kind == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    runner = web.ServerRunner(web.Server(server.handle, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


CASES: Final = [
    pytest.param(name, status, content_type, at, id=f"{name} {status} {content_type} {at}")
    for name in OPERATIONS
    for status, answer in DESCRIBED[name].answers.items()
    for content_type, content in (answer.get("content") or {"": {}}).items()
    for at in range(max(1, len(examples_of(content))))
]


@pytest.mark.parametrize(("name", "status", "content_type", "at"), CASES)
async def test_an_operation_with_the_examples_of_the_description(
    name: str, status: str, content_type: str, at: int
) -> None:
    operation, method, described = OPERATIONS[name], METHODS[name][0], DESCRIBED[name]
    ids, given = arguments(operation, method, described)
    answer: Any = None
    body = FILE
    if content_type.endswith("json"):
        answer = examples_of(described.answers[status]["content"][content_type])[at]
        if operation.batch_ids and operation.batch_ids in given and operation.result is not Success:
            records = answer["items"] if isinstance(answer, dict) else answer
            kind = type(given[operation.batch_ids][0])  # the cart shows numbers for texts
            given[operation.batch_ids] = [kind(each[operation.answer_id or "id"]) for each in records]
        answer = truth(operation, answer, ids, given)
        body = as_text(answer).encode()
    async with (
        running(Server(described, int(status), content_type, body)) as server,
        WavixClient("key", base_url=server.url, retry=RetryPolicy.none(), strict=True) as wavix,
    ):
        call = method.of(wavix)(*ids, **given)
        if isinstance(call, Export):
            result: Any = [row async for row in call]
        elif isinstance(call, Download):
            async with call as file:
                result = await file.read()
        else:
            result = await call

    assert (server.wrong, server.served > 0) == ([], True)
    if operation.result is Download:
        assert result == FILE
    elif operation.pending_202 and status == "202":
        assert result.pending
    else:
        assert unknown_keys(result) == []
        assert to_dict(result) == shown(operation, answer)


def as_text(answer: Any) -> str:
    """Return an answer as JSON; the example of a stream is text already."""
    return answer if isinstance(answer, str) else json.dumps(answer)


def shown(operation: Operation[Any], answer: Any) -> Any:
    """Return what `to_dict` of the result must give."""
    if typing.get_origin(operation.result) is Export:
        return [json.loads(line) for line in as_text(answer).splitlines() if line.strip()]
    key = "items" if operation.name == "PATCH /v1/numbers" else operation.unwrap
    return answer.get(key, answer) if key else answer


def unknown_keys(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [found for each in value for found in unknown_keys(each)]
    if isinstance(value, Model):
        fields = [getattr(value, field.name) for field in attrs.fields(type(value)) if field.name != "extra"]
        return [*(f"{type(value).__name__}.{key}" for key in value.extra), *unknown_keys(fields)]
    return []


def test_the_server_sees_what_is_wrong() -> None:
    described = DESCRIBED["POST /v3/messages"]

    assert wrong_with({"from": "A", "to": 1}, described.body["schema"]) != []
    assert wrong_with(examples_of(described.body)[0], described.body["schema"]) == []
