"""`plan`: compares the desired state with the account, and lists the changes. It sends only reads."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from itertools import groupby, islice
from os import PathLike
from pathlib import Path
from typing import Any, Final

from wavix_async import Number, WavixClient, to_dict
from wavix_async._codec import html_table
from wavix_async._files import is_id, is_text, settings_of, to_json, update_from
from wavix_async._sqlite import Database, transaction
from wavix_async.fleet._account import AccountReader
from wavix_async.fleet._desired import DesiredState, Match, Source, Target, read
from wavix_async.fleet._errors import FleetFileError
from wavix_async.fleet._journal import SCHEMA, RunRow
from wavix_async.fleet._plan_file import edited, read_lines, write_lines
from wavix_async.fleet._records import Change, FleetProgress, NewValue, field_changes

__all__ = ["PlanBuilder", "Plan", "count_by_field", "plan", "read_plan"]

_PAGE: Final = 100
_MOST_READ_SINGLY: Final = 1_000
_MOST_LISTED: Final = 1_000
_WIDEST: Final = 60
_FEW: Final = 5
_NEW_VALUES: Final = """
SELECT change.key, count(*), CASE WHEN change.type IN ('true', 'false', 'null') THEN change.type
    WHEN change.type IN ('array', 'object') THEN change.value ELSE json_quote(change.value) END AS new
FROM item, json_each(item.after) AS change GROUP BY change.key, new ORDER BY change.key, count(*) DESC, new
"""


class Plan:
    """The changes of each number, in a private temporary database, not in memory.

    Attributes:
        name: The file with the desired state, or `<iterable>`.
        base_url: The API of the account.
        account: The number of numbers in the account.
        unchanged: How many numbers already have the desired settings.
        missing_count: How many numbers of the desired state are not in the account, and how many selectors and
            exceptions match no number.
        selections: One line for each selector and exception: its place, what it says, and how many numbers it matches.
        digest: SHA-256 of the base URL and of all changes, as hexadecimal digits.
    """

    def __init__(self, builder: "PlanBuilder") -> None:
        self._database = builder.database
        self.name: str = builder.name
        self.base_url: str = builder.base_url
        self.account: int = builder.account
        self.unchanged: int = builder.count_unchanged()
        self.missing_count: int = builder.missing_count
        self.selections: tuple[str, ...] = builder.selections
        self._changes = 0
        self._is_closed = False
        digest = hashlib.sha256(self.base_url.encode())
        for row in self._database.connection.execute("SELECT id, before, after FROM item ORDER BY id"):
            digest.update(f"\n{row[0]}\t{row[1]}\t{row[2]}".encode())
            self._changes += 1
        self.digest: str = digest.hexdigest()

    def __len__(self) -> int:
        """Return the number of numbers that will change."""
        return self._changes

    def __repr__(self) -> str:
        return (
            f"<Plan {self.name}: {len(self):,} changes, {self.unchanged:,} unchanged, {self.missing_count:,} missing>"
        )

    def changes(self) -> Iterator[Change]:
        """Yield the changes, in the order of the ids."""
        query = "SELECT id, number, before, after FROM item WHERE after != '{}' ORDER BY id"
        for number_id, number, before, after in self._database.connection.execute(query):
            yield Change(number_id, number, field_changes(before, after))

    @property
    def totals(self) -> dict[str, int]:
        """For each field, how many numbers will change."""
        return count_by_field(self._database.connection, 1)

    @property
    def new_values(self) -> list[NewValue]:
        """For each field, the five most frequent new values; the others together are one entry."""
        found: list[NewValue] = []
        rows = self._database.connection.execute(_NEW_VALUES)
        for field, values in groupby(rows, key=lambda row: row[0]):
            first: list[NewValue] = []
            others = numbers = 0
            for _, count, value in values:
                if len(first) < _FEW:
                    first.append(NewValue(field, json.loads(value), count))
                else:
                    others, numbers = others + 1, numbers + count
            rare = sum(new.numbers == 1 for new in first)
            if others or rare > 1:
                first = [*first[: len(first) - rare], NewValue(field, None, numbers + rare, others + rare)]
            found += first
        return found

    @property
    def missing(self) -> tuple[str, ...]:
        """One line for each of the first thousand entries that match nothing in the account, with its place."""
        query = f"SELECT reason FROM missing LIMIT {_MOST_LISTED}"  # noqa: S608 - constants
        return tuple(reason for (reason,) in self._database.connection.execute(query))

    def table(self, limit: int = 50) -> str:
        """Return the plan as text: each field of each number before and after, and totals.

        Args:
            limit: The most numbers to show.
        """
        return "\n".join(self._lines(limit))

    def _repr_html_(self) -> str:
        if self._is_closed:
            return html_table((), (), f"{self!r}, closed")
        rows = (
            (change.id, change.number, field.field, _text(field.before), _text(field.after))
            for change in self.changes()
            for field in change.fields
        )
        summary = [*self._lines(0)][-1].removesuffix(".")
        return html_table(("id", "number", "field", "from", "to"), rows, summary, sum(self.totals.values()))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the plan to a file, for `read_plan`: `apply` then changes what was reviewed, and nothing else.

        Args:
            path: The file. It is replaced if it exists. Only its owner can read a new file.

        Raises:
            InputError: The file cannot be written.
        """
        write_lines(Path(path), self._saved())

    def _saved(self) -> Iterator[dict[str, Any]]:
        yield {name: getattr(self, name) for name in ("name", "base_url", "digest", "account", "unchanged")}
        for each in self.changes():
            before, after = (
                {field.field: getattr(field, when) for field in each.fields} for when in ("before", "after")
            )
            yield {"id": each.id, "number": each.number, "before": before, "after": after}
        for number_id, number, reason in self.connection.execute("SELECT id, number, reason FROM missing"):
            yield {"id": number_id, "number": number, "missing": reason}

    def close(self) -> None:
        """Delete the temporary database. Garbage collection of the plan does so, too."""
        self._is_closed = True
        self._database.close()

    def _lines(self, limit: int) -> Iterator[str]:
        rows = [("ID", "NUMBER", "FIELD", "FROM", "TO")]
        for change in islice(self.changes(), limit):
            for index, field in enumerate(change.fields):
                number_id, number = ("", "") if index else (str(change.id), _text(change.number or "-"))
                before, after = _cell(field.before, field.after), _cell(field.after, field.before)
                rows.append((number_id, number, field.field, before, after))
        if len(rows) > 1:
            widths = [max(len(row[column]) for row in rows) for column in range(4)]
            for row in rows:
                yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
            if len(self) > limit:
                more = len(self) - limit
                yield f"... and {more:,} more number{'s' * (more != 1)}"
            yield ""
        yield from self.selections[:limit]
        for new in self.new_values:
            value = new.others_text or _cell(new.value, None)
            yield f"{new.field} -> {value}: {new.numbers:,} number{'s' * (new.numbers != 1)}"
        missing = f"; {self.missing_count:,} missing" if self.missing_count else ""
        changing = f"{len(self):,} number{'s' * (len(self) != 1)} will change"
        yield f"{changing}; {self.unchanged:,} already match{'es' * (self.unchanged == 1)}{missing}."

    # --- for a journal ---

    @property
    def connection(self) -> sqlite3.Connection:
        """The database; one thread at a time may use it."""
        return self._database.connection

    @property
    def row(self) -> RunRow:
        """The plan as the row of a run that has not begun."""
        return RunRow(
            0, "", self.name, self.digest, self.account, self.unchanged, self.missing_count, "", 0.0, 0.0, 0, 0, None, 0
        )


def _cell(value: Any, other: Any) -> str:
    """Return a value for a cell: escape unprintable characters, and cut a long value to the part that differs."""
    text, other_text = _text(value), _text(other)
    if len(text) <= _WIDEST:
        return text
    same = next((at for at, pair in enumerate(zip(text, other_text, strict=False)) if len(set(pair)) > 1), 0)
    start = max(0, min(same - _WIDEST // 2, len(text) - _WIDEST + 1))
    end = start + _WIDEST - (2 if start else 1)
    end = len(text) if end >= len(text) - 1 else end
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else to_json(value)
    return text if text.isprintable() else json.dumps(text)


def count_by_field(connection: sqlite3.Connection, run: int) -> dict[str, int]:
    """Return how many numbers of a run change, for each field."""
    query = (
        "SELECT change.key, count(*) FROM item, json_each(item.after) AS change WHERE run = ? "
        "GROUP BY change.key ORDER BY change.key"
    )
    return dict(connection.execute(query, (run,)))


class PlanBuilder:
    """Collects the parts of a plan in a temporary database.

    Args:
        name: The file with the desired state, or `<iterable>`.
        base_url: The API of the account.
        account: The number of numbers in the account.
    """

    def __init__(self, name: str, base_url: str, account: int) -> None:
        # A path that is not UTF-8 has half characters, which a database does not take.
        self.name: str = name.encode("utf-8", "backslashreplace").decode()
        self.base_url = base_url
        self.account = account
        self.missing_count: int = 0
        self.selections: tuple[str, ...] = ()
        self.listed_count = 0
        self.database: Database = Database(None)
        self.database.connection.execute("PRAGMA journal_mode = OFF")
        self.database.connection.executescript(SCHEMA)
        self.database.connection.execute("CREATE TABLE unchanged (id INTEGER PRIMARY KEY)")

    def add_changes(self, rows: Sequence[tuple[int, str | None, str, str, bool]]) -> None:
        """Add changes: id, phone number, old and new settings as JSON, and whether to send it even if applied."""
        with transaction(self.database.connection) as connection:
            connection.executemany("INSERT OR IGNORE INTO item VALUES (1, ?, ?, ?, ?, ?)", rows)

    def add_unchanged(self, ids: Sequence[int]) -> None:
        """Add numbers with the desired settings; a number that moves to another page may be added twice."""
        with transaction(self.database.connection) as connection:
            connection.executemany("INSERT OR IGNORE INTO unchanged VALUES (?)", [(number_id,) for number_id in ids])

    def count_unchanged(self) -> int:
        """Return how many numbers have the desired settings."""
        query = "SELECT count(*) FROM unchanged WHERE id NOT IN (SELECT id FROM item)"
        count: int = self.database.connection.execute(query).fetchone()[0]
        return count

    def add_outcomes(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Add outcomes of changes that need no request: id, state and reason."""
        with transaction(self.database.connection) as connection:
            connection.executemany("INSERT OR IGNORE INTO outcome (run, id, state, reason) VALUES (1, ?, ?, ?)", rows)

    def add_missing(self, rows: Sequence[tuple[int | None, str | None, str]]) -> None:
        """Add numbers that are not in the account, and selectors without a number: id, phone number and reason."""
        with transaction(self.database.connection) as connection:
            connection.executemany("INSERT INTO missing VALUES (1, ?, ?, ?)", rows)
        self.missing_count += len(rows)


def read_plan(path: str | PathLike[str]) -> Plan:
    """Read a plan that `Plan.save` wrote. `apply` refuses it if the account has changed since the plan was made.

    Args:
        path: The file.

    Raises:
        FleetFileError: The file cannot be read, is not a saved plan, or is incomplete.
        SafetyError: The file was changed after the plan was saved.
    """
    file = Path(path)
    try:
        lines = read_lines(file)
        head = next(lines)
        builder = PlanBuilder(str(head["name"]), str(head["base_url"]), int(head["account"]))
        while some := list(islice(lines, _PAGE)):
            builder.add_changes([_item(line) for line in some if "after" in line])
            builder.add_missing([(each["id"], each["number"], each["missing"]) for each in some if "missing" in each])
        saved = Plan(builder)
        saved.unchanged = int(head["unchanged"])
        if saved.digest == head["digest"]:
            return saved
    except FleetFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, sqlite3.Error):
        pass
    raise edited(file)


def _item(line: dict[str, Any]) -> tuple[int, str | None, str, str, bool]:
    before, after = line["before"], line["after"]
    update_from(after)
    if not is_id(line["id"]) or before.keys() != after.keys():
        raise ValueError
    return line["id"], line["number"], to_json(before), to_json(after), False


async def plan(
    wavix: WavixClient,
    desired: DesiredState | Source,
    *,
    on_progress: Callable[[FleetProgress], object] | None = None,
) -> Plan:
    """Compare the desired state with the account (GET /v1/numbers, or GET /v1/numbers/{id} for a few numbers).

    A plan has only the differences: it leaves out fields, and numbers, that already have the desired values.

    Args:
        wavix: The client of the account.
        desired: The desired state: the result of `read`, or any source that `read` accepts.
        on_progress: Called with a `FleetProgress` after every page.

    Returns:
        The plan. Its `missing` lists the numbers that are not in the account, and the selectors that match none.

    Raises:
        FleetFileError: The file has mistakes, or contradicts the account: an id has another phone number, or the file
            names one number twice, by its id and by its phone number.
        WavixError: The account could not be read.
    """
    if not isinstance(desired, DesiredState):
        # Checking a large file takes a while.
        desired = await asyncio.to_thread(read, desired)
    reader = AccountReader(wavix)
    builder = PlanBuilder(desired.name, wavix.base_url, await reader.count())
    try:
        return await _build(builder, desired, reader, on_progress)
    except BaseException:
        builder.database.close()
        raise


async def _build(
    builder: PlanBuilder,
    desired: DesiredState,
    reader: AccountReader,
    on_progress: Callable[[FleetProgress], object] | None,
) -> Plan:
    match = desired.match()
    listed = desired.selectors or desired.rows > builder.account / _PAGE
    # If the file has few numbers, only these are read, so they are the whole.
    total = builder.account if listed else desired.rows

    async def add_page(numbers: Sequence[Number]) -> None:
        await builder.database.run(_compare, builder, match, numbers, reader.listings)
        # A number that moves to another page during the listing is counted twice.
        reader.report(on_progress, phase="listing", total=total, done=min(builder.listed_count, total))

    if listed:
        async with aclosing(reader.all_pages()) as pages:
            async for page in pages:
                await add_page(page)
    # Numbers move during the listing, so read those that were on no page one by one.
    most = _MOST_READ_SINGLY if listed else None
    unseen = await builder.database.run(lambda _: list(islice(match.unseen(), most)))
    async with aclosing(_read_each(reader, unseen)) as numbers:
        async for number in numbers:
            await add_page([number])
    if error := match.error():
        raise error
    await builder.database.run(_add_missing, builder, match)
    return await builder.database.run(lambda _: Plan(builder))


async def _read_each(reader: AccountReader, targets: Sequence[Target]) -> AsyncGenerator[Number, None]:
    ids = [target.id for target in targets if target.id is not None]
    phones = [target.number for target in targets if target.id is None and target.number is not None]
    async with aclosing(reader.read_by_id(ids)) as found:
        async for numbers, _ in found:
            for number in numbers:
                yield number
    async with aclosing(reader.find_by_phone(phones)) as matches:
        async for number in matches:
            yield number


def _compare(
    _: sqlite3.Connection, builder: PlanBuilder, match: Match, numbers: Sequence[Number], listing: int
) -> None:
    match.begin_listing(listing)
    rows, unchanged = [], []
    for number, update in zip(numbers, match.updates(numbers), strict=True):
        builder.listed_count += 1
        if update is None or not is_id(number.id):
            continue
        differing = update.differs_from(number)
        if not differing:
            unchanged.append(number.id)
            continue
        settings, wanted = settings_of(number), to_dict(update)
        phone = number.number if isinstance(number.number, str) and is_text(number.number) else None
        before, after = (to_json({name: values[name] for name in differing}) for values in (settings, wanted))
        rows.append((number.id, phone, before, after, False))
    if rows:
        builder.add_changes(rows)
    if unchanged:
        builder.add_unchanged(unchanged)


def _add_missing(_: sqlite3.Connection, builder: PlanBuilder, match: Match) -> None:
    targets = match.unseen()
    while some := list(islice(targets, _PAGE)):
        builder.add_missing([(target.id, target.number, _describe_missing(target)) for target in some])
    selections = list(match.selections())
    builder.selections = tuple(
        f"{place}: {text}: {count:,} number{'s' * (count != 1)}" for place, text, count in selections
    )
    if none := [(None, None, f"{place}: {text} matches no number.") for place, text, count in selections if not count]:
        builder.add_missing(none)


def _describe_missing(target: Target) -> str:
    key = f"id {target.id}" if target.id is not None else f"phone number {target.number}"
    return f"{target.place}: the account has no number with the {key}."
