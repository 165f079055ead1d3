"""Show a plan as Markdown, for a pull request."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from wavix_async.cli._console import printable
from wavix_async.cli._output.format import format_count
from wavix_async.cli._output.summary import refusal_note
from wavix_async.fleet import NewValue, Plan

__all__ = ["plan_markdown"]

# GitHub takes 65,536 characters.
_MAX_SHOWN: Final = 100
_MAX_LENGTH: Final = 120


def plan_markdown(plan: Plan) -> str:
    """Return the plan as Markdown. Every text of the file and of the account is code, so it is never markup."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    missing = f", {plan.missing_count:,} missing" if plan.missing_count else ""
    yield f"### Plan: {_code(plan.name)}\n"
    yield f"**{format_count(len(plan))} will change**, {plan.unchanged:,} already match{missing}."
    if note := refusal_note(plan):
        yield f"\n**Safety**: {note}"
    if plan.missing:
        yield f"\n**Missing in the account**, the first {len(plan.missing[:_MAX_SHOWN])}:\n"
        yield from (f"- {_code(line)}" for line in plan.missing[:_MAX_SHOWN])
    if len(plan):
        yield from _table("Field | New value | Numbers", map(_new_value, plan.new_values))
        yield f"\n<details><summary>The first {format_count(min(_MAX_SHOWN, len(plan)))}</summary>"
        rows = (
            (
                str(change.id),
                _code(change.number or "-"),
                _code(each.field),
                _value(each.before),
                _value(each.after),
            )
            for change in islice(plan.changes(), _MAX_SHOWN)
            for each in change.fields
        )
        yield from _table("Id | Number | Field | From | To", rows)
        yield "\n</details>"
    yield f"\nAPI: {_code(plan.base_url)}. Digest, for `fleet apply --expect`: `{plan.digest}`"


def _new_value(new: NewValue) -> tuple[str, str, str]:
    return _code(new.field), new.others_text or _value(new.value), f"{new.numbers:,}"


def _table(heads: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"\n| {heads} |\n|{' --- |' * (1 + heads.count('|'))}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _value(value: Any) -> str:
    return _code(value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False))


def _code(text: str) -> str:
    """Return a text as code, in a fence that is longer than any in the text; a bar would end a cell of a table."""
    text = printable(text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]} ...").replace("\n", "\\n")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (text[:1] in ("`", " ", "") or text[-1:] in ("`", " "))
    return f"{fence}{space}{text.replace('|', chr(92) + '|')}{space}{fence}"
