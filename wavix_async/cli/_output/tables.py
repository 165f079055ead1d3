"""Show phone numbers: many as a table, one with all its fields."""

import json
from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from wavix_async import InboundCallDestination, Number, to_dict
from wavix_async.cli._console import one_line

__all__ = ["number_facts", "number_table", "value_cell"]


def number_table(numbers: Iterable[Number]) -> Table:
    """Return a table of the main fields of phone numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ID", justify="right", style="cyan", no_wrap=True)
    table.add_column("NUMBER", no_wrap=True)
    table.add_column("LABEL")
    table.add_column("SMS", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("DESTINATIONS", overflow="fold")
    for number in numbers:
        routes = number.destination if isinstance(number.destination, list) else []
        table.add_row(
            value_cell(number.id),
            value_cell(number.number),
            value_cell(number.label),
            value_cell(number.sms_enabled),
            value_cell(number.status),
            one_line(", ".join(map(_route, routes))),
        )
    return table


def number_facts(number: Number) -> dict[str, str | Text]:
    """Return every field of a number, unknown ones included."""
    return {name: value_cell(value) for name, value in to_dict(number).items()}


def value_cell(value: Any) -> Text:
    """Return a JSON value as the text of a cell, with what a terminal would obey escaped."""
    match value:
        case None:
            return Text("-", style="dim")
        case bool():
            return Text("yes", style="green") if value else Text("no", style="dim")
        case list() | dict():
            return Text(one_line(json.dumps(value, ensure_ascii=False))) if value else Text("-", style="dim")
        case _:
            return Text(one_line(str(value)))


def _route(route: Any) -> str:
    return str(route.destination if isinstance(route, InboundCallDestination) else route)
