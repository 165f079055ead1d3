"""What the type checkers make of `@unpack`. Never run: mypy --strict and pyright read it."""

from typing import assert_type

import attrs

from wavix_async.resources._unpack import unpack


@attrs.frozen(kw_only=True)
class Paint:
    colour: str
    coats: int = 2


class Shed:
    @unpack(Paint)
    async def paint(self, wall: int, body: Paint) -> float:
        return wall * body.coats

    @unpack(Paint)
    def paint_all(self, body: Paint) -> str:
        return body.colour

    @unpack(Paint)
    def paint_part(self, wall: int, part: str, body: Paint) -> str:
        return f"{wall} {part} {body.colour}"

    @unpack(Paint)
    def paint_spot(self, wall: int, part: str, spot: float, body: Paint) -> float:
        return wall * spot * body.coats * len(part)


async def uses(shed: Shed) -> None:
    assert_type(await shed.paint(1, colour="red"), float)
    assert_type(await shed.paint(1, colour="red", coats=3), float)
    assert_type(shed.paint_all(colour="red"), str)
    assert_type(shed.paint_part(1, "door", colour="red"), str)
    assert_type(shed.paint_spot(1, "door", 0.5, colour="red", coats=1), float)


async def mistakes(shed: Shed) -> None:
    await shed.paint(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await shed.paint(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await shed.paint("a", colour="red")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await shed.paint(1, color="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    shed.paint_all(Paint(colour="red"))  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    shed.paint_all(colour=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    shed.paint_part(1, colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    shed.paint_part(1, 2, colour="red")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    shed.paint_spot(1, "door", 0.5, 3, colour="red")  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue]
