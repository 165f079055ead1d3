"""`plan`: what would change, found by holding what is wanted against the account. Nothing is sent but reads."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from itertools import islice
from typing import Any, Final

from wavix_async import Number, WavixClient, to_dict
from wavix_async._files import is_id, settings_of, to_json
from wavix_async.fleet._account import Census
from wavix_async.fleet._database import Store, in_one_transaction
from wavix_async.fleet._desired import Match, Source, Target, Wanted, read
from wavix_async.fleet._journal import SCHEMA, RunRow
from wavix_async.fleet._records import Change, FleetProgress, fields_of

__all__ = ["Draft", "Plan", "fields_count", "plan"]

_PAGE: Final = 100
_CONFIRMED: Final = 1_000
_KEPT: Final = 1_000
_WIDEST: Final = 60


class Plan:
    """What would change, number by number; kept in a private temporary database, not in memory.

    Attributes:
        name: Where the wishes come from: the file, or `<iterable>`.
        base_url: Where the account is.
        account: How many numbers the account has.
        unchanged: How many of the numbers wanted are as they shall be already.
        missing_count: How many of the numbers wanted the account lacks.
        digest: SHA-256 of the base URL and of all changes, as hexadecimal digits.
    """

    def __init__(self, draft: "Draft") -> None:
        self._store = draft.store
        self.name = draft.name
        self.base_url = draft.base_url
        self.account = draft.account
        self.unchanged = draft.count_same()
        self.missing_count = draft.missing
        self._changes = 0
        digest = hashlib.sha256(self.base_url.encode())
        for row in self._store.connection.execute("SELECT id, before, after FROM item ORDER BY id"):
            digest.update(f"\n{row[0]}\t{row[1]}\t{row[2]}".encode())
            self._changes += 1
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        """Count the numbers that would change."""
        return self._changes

    def __repr__(self) -> str:
        return (
            f"<Plan {self.name}: {len(self):,} changes, {self.unchanged:,} unchanged, {self.missing_count:,} missing>"
        )

    def changes(self) -> Iterator[Change]:
        """Yield what would change, in the order of the ids."""
        query = "SELECT id, number, before, after FROM item WHERE after != '{}' ORDER BY id"
        for number_id, number, before, after in self._store.connection.execute(query):
            yield Change(number_id, number, fields_of(before, after))

    @property
    def totals(self) -> dict[str, int]:
        """How many numbers would change in each field."""
        return fields_count(self._store.connection, 1)

    @property
    def missing(self) -> tuple[str, ...]:
        """A line for each number that the account lacks: where it is wanted, and what; the first thousand."""
        query = f"SELECT reason FROM missing LIMIT {_KEPT}"  # noqa: S608 - constants
        return tuple(reason for (reason,) in self._store.connection.execute(query))

    def table(self, limit: int = 50) -> str:
        """Return the plan as text: what becomes of each field of each number, and totals.

        Args:
            limit: The most numbers to show.
        """
        return "\n".join(self._lines(limit))

    def close(self) -> None:
        """Remove the database. This happens by itself when nothing refers to this any more."""
        self._store.close()

    def _lines(self, limit: int) -> Iterator[str]:
        rows = [("ID", "NUMBER", "FIELD", "FROM", "TO")]
        for change in islice(self.changes(), limit):
            for index, field in enumerate(change.fields):
                number_id, number = ("", "") if index else (str(change.id), change.number or "-")
                rows.append(
                    (
                        number_id,
                        number,
                        field.field,
                        _shown(field.before, field.after),
                        _shown(field.after, field.before),
                    )
                )
        if len(rows) > 1:
            widths = [max(len(row[column]) for row in rows) for column in range(4)]
            for row in rows:
                yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
            if len(self) > limit:
                yield f"... and {len(self) - limit:,} more numbers"
            yield ""
        for field_name, count in self.totals.items():
            yield f"{field_name}: {count:,} number{'s' * (count != 1)}"
        missing = f", {self.missing_count:,} missing" if self.missing_count else ""
        yield f"{len(self):,} of {self.account:,} numbers would change, {self.unchanged:,} are so already{missing}."

    # --- for a journal ---

    @property
    def connection(self) -> sqlite3.Connection:
        """The database; one thread at a time may use it."""
        return self._store.connection

    @property
    def row(self) -> RunRow:
        """The plan as a run that has not begun."""
        return RunRow(
            0, "", self.name, self.digest, self.account, self.unchanged, self.missing_count, "", 0.0, 0.0, 0, 0, None, 0
        )


def _shown(value: Any, other: Any) -> str:
    """Return a value for a cell: what cannot be printed escaped, what is long cut where it is like the other."""
    text, beside = _text(value), _text(other)
    if len(text) <= _WIDEST:
        return text
    same = next((at for at, pair in enumerate(zip(text, beside, strict=False)) if len(set(pair)) > 1), 0)
    start = max(0, min(same - _WIDEST // 2, len(text) - _WIDEST + 1))
    end = start + _WIDEST - (2 if start else 1)
    end = len(text) if end >= len(text) - 1 else end
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else to_json(value)
    return text if text.isprintable() else json.dumps(text)


def fields_count(connection: sqlite3.Connection, run: int) -> dict[str, int]:
    """Return how many numbers of a run change in each field."""
    query = (
        "SELECT change.key, count(*) FROM item, json_each(item.after) AS change WHERE run = ? "
        "GROUP BY change.key ORDER BY change.key"
    )
    return dict(connection.execute(query, (run,)))


class Draft:
    """A plan that is being made.

    Args:
        name: Where the wishes come from.
        base_url: Where the account is.
        account: How many numbers it has.
    """

    def __init__(self, name: str, base_url: str, account: int) -> None:
        self.name = name
        self.base_url = base_url
        self.account = account
        self.missing = 0
        self.seen = 0
        self.store = Store(None)
        self.store.connection.execute("PRAGMA journal_mode = OFF")
        self.store.connection.executescript(SCHEMA)
        self.store.connection.execute("CREATE TABLE same (id INTEGER PRIMARY KEY)")

    def add(self, rows: Sequence[tuple[int, str | None, str, str, bool]]) -> None:
        """Add changes: id, phone number, the settings before and after as JSON, and whether to send it in any case."""
        with in_one_transaction(self.store.connection) as connection:
            connection.executemany("INSERT OR IGNORE INTO item VALUES (1, ?, ?, ?, ?, ?)", rows)

    def keep(self, ids: Sequence[int]) -> None:
        """Add numbers that are as they shall be; one that moves to another page meanwhile comes twice."""
        with in_one_transaction(self.store.connection) as connection:
            connection.executemany("INSERT OR IGNORE INTO same VALUES (?)", [(number_id,) for number_id in ids])

    def count_same(self) -> int:
        """Return how many numbers are as they shall be."""
        query = "SELECT count(*) FROM same WHERE id NOT IN (SELECT id FROM item)"
        count: int = self.store.connection.execute(query).fetchone()[0]
        return count

    def settle(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Add how changes have ended that nothing will be sent for: id, state and reason."""
        with in_one_transaction(self.store.connection) as connection:
            connection.executemany("INSERT OR IGNORE INTO outcome (run, id, state, reason) VALUES (1, ?, ?, ?)", rows)

    def lack(self, rows: Sequence[tuple[int | None, str | None, str]]) -> None:
        """Add numbers that are wanted and not there: id, phone number and reason."""
        with in_one_transaction(self.store.connection) as connection:
            connection.executemany("INSERT INTO missing VALUES (1, ?, ?, ?)", rows)
        self.missing += len(rows)


async def plan(
    wavix: WavixClient,
    wanted: Wanted | Source,
    *,
    on_progress: Callable[[FleetProgress], object] | None = None,
) -> Plan:
    """Find out what would change (GET /v1/numbers, or GET /v1/numbers/{id} where only a few are wanted).

    Only what differs would be sent: a field that is as wanted is left out, and so is a number without any other.

    Args:
        wavix: The client of the account.
        wanted: What the numbers shall be: what `read` gave, or anything that it takes.
        on_progress: Called with a `FleetProgress` after every page.

    Returns:
        The plan. Numbers that the account lacks are named in `missing`.

    Raises:
        FleetFileError: The file is wrong, or contradicts the account: it names another phone number for an id, or one
            number twice, by its id and by its phone number.
        WavixError: The account could not be read.
    """
    if not isinstance(wanted, Wanted):
        # Checking a large file takes a while.
        wanted = await asyncio.to_thread(read, wanted)
    census = Census(wavix)
    draft = Draft(wanted.name, wavix.base_url, await census.size())
    try:
        return await _fill(draft, wavix, wanted, census, on_progress)
    except BaseException:
        draft.store.close()
        raise


async def _fill(
    draft: Draft,
    wavix: WavixClient,
    wanted: Wanted,
    census: Census,
    on_progress: Callable[[FleetProgress], object] | None,
) -> Plan:
    match = wanted.match()
    began = asyncio.get_running_loop().time()

    async def take(numbers: Sequence[Number]) -> None:
        await draft.store.run(_hold_against, draft, match, numbers)
        if on_progress is not None:
            limit = wavix.limits.snapshot()
            with suppress(Exception):
                on_progress(
                    FleetProgress(
                        phase="listing",
                        total=draft.account,
                        done=draft.seen,
                        requests=census.requests,
                        rate_limited=census.rate_limited,
                        elapsed=asyncio.get_running_loop().time() - began,
                        rate=limit.rate,
                        paused_for=limit.paused_for,
                    )
                )

    listed = wanted.selectors or wanted.rows > draft.account / _PAGE
    if listed:
        async with aclosing(census.everything()) as pages:
            async for page in pages:
                await take(page)
    # Pages move while they are read: what was on none of them is asked for by itself.
    most = _CONFIRMED if listed else None
    lacking = await draft.store.run(lambda _: list(islice(match.unseen(), most)))
    async with aclosing(_each(census, lacking)) as numbers:
        async for number in numbers:
            await take([number])
    if error := match.error():
        raise error
    await draft.store.run(_note_missing, draft, match)
    return await draft.store.run(lambda _: Plan(draft))


async def _each(census: Census, targets: Sequence[Target]) -> AsyncGenerator[Number, None]:
    ids = [target.id for target in targets if target.id is not None]
    phones = [target.number for target in targets if target.id is None and target.number is not None]
    async with aclosing(census.by_id(ids)) as found:
        async for numbers, _ in found:
            for number in numbers:
                yield number
    async with aclosing(census.by_phone(phones)) as matches:
        async for number in matches:
            yield number


def _hold_against(_: sqlite3.Connection, draft: Draft, match: Match, numbers: Sequence[Number]) -> None:
    rows, same = [], []
    for number, update in zip(numbers, match.updates(numbers), strict=True):
        draft.seen += 1
        if update is None or not is_id(number.id):
            continue
        differing = update.differs_from(number)
        if not differing:
            same.append(number.id)
            continue
        settings, after = settings_of(number), to_dict(update)
        phone = number.number if isinstance(number.number, str) else None
        rows.append(
            (
                number.id,
                phone,
                to_json({name: settings[name] for name in differing}),
                to_json({name: after[name] for name in differing}),
                False,
            )
        )
    if rows:
        draft.add(rows)
    if same:
        draft.keep(same)


def _note_missing(_: sqlite3.Connection, draft: Draft, match: Match) -> None:
    targets = match.unseen()
    while some := list(islice(targets, _PAGE)):
        draft.lack([(target.id, target.number, _words(target)) for target in some])


def _words(target: Target) -> str:
    key = f"id {target.id}" if target.id is not None else f"phone number {target.number}"
    return f"{target.place}: the account has no number with the {key}."
