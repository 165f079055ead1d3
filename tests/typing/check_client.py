"""What the type checkers make of the client itself: groups, wrong names, and operations that the SDK lacks."""

from typing import Any, Final, assert_type, cast

from wavix_async import Number, NumberPage, Operation, Success, WavixClient
from wavix_async.resources.numbers import Numbers

PLAIN: Final = Operation("GET", "/v1/calls", dict[str, Any])
UNWRAPPED: Final = Operation("GET", "/v1/calls/{id}", Number, unwrap="call", reserved=("webhooks",))
WRAPPED: Final = Operation("POST", "/v1/voice-campaigns", Success, wrap="voice_campaign")
LISTED: Final = Operation("GET", "/v1/things", list[Number])
# mypy infers nothing from a union: the operation says it.
EITHER: Final[Operation[Number | NumberPage]] = Operation("GET", "/v1/things", cast("Any", Number | NumberPage))
NOTHING: Final[Operation[None]] = Operation("POST", "/v1/things", None)


async def calling(wavix: WavixClient) -> None:
    assert_type(await wavix.call(PLAIN, query={"page": 1}), dict[str, Any])
    assert_type(await wavix.call(UNWRAPPED, path={"id": "a"}), Number)
    assert_type(await wavix.call(WRAPPED, body={"contact": "1"}), Success)
    assert_type(await wavix.call(LISTED), list[Number])
    assert_type(await wavix.call(EITHER), Number | NumberPage)
    await wavix.call(NOTHING)

    Operation("GET", "/v1/calls", "dict")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operation("GET", "/v1/calls", Number | NumberPage)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operation("GET", "/v1/calls", Number | None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operation("GET", "/v1/calls", dict, unwrap=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.call("/v1/calls")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def groups(wavix: WavixClient) -> None:
    assert_type(wavix.numbers, Numbers)
    assert_type(wavix.with_options(deadline=5), WavixClient)
    assert_type(wavix.with_options(deadline=5).numbers, Numbers)

    wavix.nubmers.get(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    wavix.foo()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
