"""`wavix-async numbers list|get|update|release`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from wavix_async import Number, WavixClient, WavixError, to_dict
from wavix_async._files import FIELDS
from wavix_async.cli._console import keep_exit_code, out, show_facts, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_error
from wavix_async.cli._input import NO_CHANGES, Changes, update_from_flags
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, Json, Yes
from wavix_async.cli._output import format_count, number_facts, number_table
from wavix_async.cli._prompts import confirm

__all__ = ["get", "list_", "release", "update"]


def list_(
    *,
    search: str | None = None,
    label: str | None = None,
    label_present: bool | None = None,
    city_id: int | None = None,
    limit: AtLeastOne | None = None,
    as_json: Json = False,
    connection: Connection = CONNECTION,
) -> None:
    """List the phone numbers of your account.

    Example: `wavix-async numbers list --label support --json`

    Args:
        search: Only numbers that contain these digits.
        label: Only numbers with exactly this label.
        label_present: Only numbers with (or without) a label. The API then ignores --label.
        city_id: Only numbers in this city or rate center.
        limit: Show at most this many numbers [default: all].
        as_json: Print NDJSON: one number per line, with all fields of the API.
        connection: How to reach the API.
    """
    named = {"search": search, "label": label, "label_present": label_present, "city_id": city_id}
    filters: dict[str, Any] = {**named, "limit": limit}

    async def read() -> list[Number]:
        shown: list[Number] = []
        async with connection.client() as wavix:
            async for number in wavix.numbers.list(**filters):
                if as_json:
                    write_json(to_dict(number) if isinstance(number, Number) else number)
                elif isinstance(number, Number):
                    shown.append(number)
        return shown

    shown = asyncio.run(read())
    if not as_json:
        out(wide=True).print(number_table(shown))


def get(number_id: int, /, *, as_json: Json = False, connection: Connection = CONNECTION) -> None:
    """Show all settings of one phone number.

    Example: `wavix-async numbers get 1001`

    Args:
        number_id: The id of the number in `numbers list`, not the phone number.
        as_json: Print one JSON object, with all fields of the API.
        connection: How to reach the API.
    """

    async def call() -> Number:
        async with connection.client() as wavix:
            return await wavix.numbers.get(number_id)

    _show(asyncio.run(call()), as_json=as_json)


def update(
    number_id: int,
    /,
    *,
    changes: Changes = NO_CHANGES,
    as_json: Json = False,
    connection: Connection = CONNECTION,
) -> None:
    """Change the settings of one phone number.

    Settings that you do not give keep their value.

    Example: `wavix-async numbers update 1001 --sms-enabled`

    Args:
        number_id: The id of the number in `numbers list`, not the phone number.
        changes: What to change.
        as_json: Print the changed number as one JSON object, with all fields of the API.
        connection: How to reach the API.
    """
    target = update_from_flags(changes)

    async def call() -> Number:
        async with connection.client() as wavix:
            return await wavix.numbers.update(number_id, **{name: getattr(target, name) for name in FIELDS})

    changed = asyncio.run(call())
    with keep_exit_code():
        _show(changed, as_json=as_json)


def release(
    *ids: int,
    did: Annotated[list[str] | None, Parameter(negative="")] = None,
    yes: Yes = False,
    as_json: Json = False,
    connection: Connection = CONNECTION,
) -> None:
    """Give phone numbers up for good. You cannot undo this.

    Ids are released one after another. The first failure stops the command; numbers already released stay released.

    Example: `wavix-async numbers release 1001 1002`

    Args:
        ids: Ids of the numbers, as in `numbers list`.
        did: A phone number, digits only, instead of ids. Repeat the option for more numbers.
        yes: Do not ask for confirmation. Required without a terminal.
        as_json: Print one JSON object for each released number.
        connection: How to reach the API.
    """
    dids = did or []
    if bool(ids) == bool(dids):
        raise Quit(ExitCode.USAGE, "Give the numbers to release: either their ids, or --did for each phone number.")
    wavix = connection.client()
    named = ", ".join(map(str, ids or dids))
    count = len(ids or dids)
    confirm(f"{format_count(count)} at {wavix.base_url} will be released for good: {named}.", yes=yes)
    asyncio.run(_release(wavix, ids, dids, as_json=as_json))


async def _release(wavix: WavixClient, ids: Sequence[int], dids: Sequence[str], *, as_json: bool) -> None:
    async with wavix:
        if dids:
            await wavix.numbers.release(dids=dids)
            for one in dids:
                _print_released("did", one, as_json=as_json)
        for index, number_id in enumerate(ids):
            try:
                await wavix.numbers.release(ids=[number_id])
            except WavixError as error:
                rest = len(ids) - index - 1
                not_tried = f" {format_count(rest)} not tried." if rest else ""
                raise Quit(code_for_error(error), f"Number {number_id} was not released: {error}{not_tried}") from None
            _print_released("id", number_id, as_json=as_json)


def _print_released(name: str, value: object, *, as_json: bool) -> None:
    with keep_exit_code():
        if as_json:
            write_json({name: value, "released": True})
        else:
            out().print(f"Released {value}.")


def _show(number: Number, *, as_json: bool) -> None:
    if as_json:
        write_json(to_dict(number))
    else:
        show_facts(out(), f"Number {number.number}", number_facts(number))
