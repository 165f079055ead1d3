"""docs/from_vendor.md: the names of its tables exist in both packages, and the programs before and after do the same.

The page is read as a reader sees it: the tables are its Markdown.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

import pytest

from examples.from_vendor import after
from tests.support.operations import Method, methods, operations
from tests.support.pages import python_blocks, run_block, text_of
from tests.support.vendor import path_of, vendor_methods
from wavix_async import Download, Export, OutcomeUnknownError, RetryPolicy, WavixClient, errors, webhooks
from wavix_async._codec import is_model, shape_of
from wavix_async.models import MessageCreate, Page
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

wavix = pytest.importorskip("wavix", reason="the vendor's SDK is not installed: pip install wavix-python-sdk==1.1.1")

# httpx, below the vendor's client, is closed by us; what pydantic or httpx deprecate is not ours to fail on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TEXT: Final = text_of("from_vendor.md")
ROWS: Final = re.findall(
    r"^\| `([\w.]+)` \| `([\w.]+)` \| `((?:GET|POST|PUT|PATCH|DELETE) /\S+)` \| (\w*) ?\|$", TEXT, re.MULTILINE
)
VENDOR, VENDOR_SYNC = (kind(token="-", base_url="http://127.0.0.1:1") for kind in (wavix.AsyncWavix, wavix.Wavix))


def section(heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading: the cells of each, without those of its head."""
    text = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


# --- the operations ---


def test_each_of_the_122_operations_is_mapped_once() -> None:
    assert len(ROWS) == 122
    assert sorted(operation for _, _, operation, _ in ROWS) == sorted(operations())
    assert len({theirs for theirs, *_ in ROWS}) == 122
    assert TEXT.count("| `") > 122


def test_the_left_column_exists_in_the_vendors_package_and_calls_that_operation() -> None:
    found = vendor_methods(VENDOR)
    assert set(found) == {theirs for theirs, *_ in ROWS}
    for theirs, _, operation, _ in ROWS:
        assert callable(path_of(VENDOR, theirs))
        assert callable(path_of(VENDOR_SYNC, theirs))
        assert found[theirs] in (operation, re.sub(r"{\w+}", "{}", operation))


def test_the_right_column_exists_here_and_calls_that_operation() -> None:
    here = methods()
    client = WavixClient("key")
    for _, ours, operation, _ in ROWS:
        assert callable(path_of(client, ours))
        assert here[operation][0].name == ours


def test_the_last_column_says_how_a_call_is_different() -> None:
    for _, _, operation, word in ROWS:
        known = operations()[operation]
        result = get_origin(known.result) or known.result
        if result is Export:
            expected = "rows"
        elif result is Download:
            expected = "file"
        elif isinstance(result, type) and issubclass(result, Page):
            expected = "pages"
        else:
            expected = "" if known.idempotent else "once"
        assert word == expected, operation


# --- the arguments ---


def renamed() -> dict[str, tuple[set[str], set[str]]]:
    """Return the names of the arguments that only one package has, by our method, as the page lists them."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for method, theirs, ours in section("Arguments"):
        for name in names_in(method):
            only = {each.rstrip("=") for each in re.findall(r"`(\w+=)`", theirs)}
            found[name] = (only, {each.rstrip("=") for each in re.findall(r"`(\w+)=?`", ours)})
    return found


def test_all_other_arguments_have_the_same_name() -> None:
    here, listed, seen = methods(), renamed(), set()
    for theirs, ours, operation, _ in ROWS:
        method: Method = here[operation][0]
        parameters = inspect.signature(path_of(VENDOR, theirs)).parameters
        only_theirs = set(parameters) - {"request_options", "id"} - set(method.keywords)
        only_ours = set(method.keywords) - set(parameters) - {"limit", "filename", "progress", "idempotency_key"}
        only_ours -= {name for name in only_ours if name.endswith("_id") and "id" in parameters}
        if only_theirs or only_ours - {"smart_encoding"}:
            seen.add(ours)
            assert only_theirs <= listed[ours][0]
            # A keyword for each field: there are too many to list.
            assert only_ours - {"smart_encoding"} <= listed[ours][1] or not listed[ours][1]
    assert seen == set(listed)


# --- the answers ---


def models_in(kind: Any) -> list[Any]:
    """Return the model classes of both packages in a type, and in the types of their fields."""
    found, left = [], [kind]
    while left:
        each = left.pop()
        left += get_args(each)
        if not isinstance(each, type) or each in found:
            continue
        if hasattr(each, "model_fields"):
            found.append(each)
            left += [field.annotation for field in each.model_fields.values()]
        elif is_model(each):
            found.append(each)
            left += [field.kind for field in shape_of(each).fields]
    return found


def test_all_other_fields_of_answers_have_the_same_name() -> None:
    listed = [(names_in(where), names_in(theirs), names_in(ours)) for where, theirs, ours in section("Answers")]
    seen = set()
    for theirs, ours, name, word in ROWS:
        operation = operations()[name]
        returned = get_type_hints(path_of(VENDOR, theirs))["return"]
        fields = [field for model in models_in(operation.result) for field in shape_of(model).fields]
        mine = {field.wire: field.name for field in fields}
        aside = {"success", *re.findall(r"{(\w+)}", name)} if operation.unwrap else set()
        for model in models_in(returned):
            for field, info in model.model_fields.items():
                wire = next((each.alias for each in info.metadata if hasattr(each, "alias")), info.alias or field)
                if mine.get(wire) == field or wire in aside:
                    continue
                (row,) = (
                    at
                    for at, (where, left, right) in enumerate(listed)
                    if field in left
                    and (mine[wire] in right if wire in mine else not right)
                    and (any(f"{ours}.".startswith(f"{each}.") for each in where) if where else word == "pages")
                )
                seen.add((row, field))
    assert seen == {(at, field) for at, (_, left, _) in enumerate(listed) for field in left}


# --- errors and events ---


def test_the_errors_exist_in_both_packages() -> None:
    import httpx

    rows = section("Errors")
    theirs = [name for left, _ in rows for name in names_in(left)]
    for name in theirs:
        if name.startswith("httpx."):
            assert issubclass(getattr(httpx, name.removeprefix("httpx.")), httpx.HTTPError)
        elif "." in name:
            module, _, kind = name.rpartition(".")
            assert issubclass(getattr(importlib.import_module(f"wavix.{module}"), kind), Exception)
        else:
            assert issubclass(getattr(wavix, name), wavix.core.api_error.ApiError)
    assert set(vars(wavix.errors)["_dynamic_imports"]) <= set(theirs)
    ours = [name for _, right in rows for name in names_in(right.partition(";")[0] + right.partition(" for ")[2])]
    for name in {name for name in ours if name.endswith("Error")}:
        assert issubclass(getattr(errors, name), errors.WavixError)


def test_errors_of_one_status_are_in_one_row() -> None:
    by_status = {400: "BadRequestError", 401: "UnauthorizedError", 403: "ForbiddenError", 404: "NotFoundError"}
    by_status |= {422: "UnprocessableEntityError", 429: "TooManyRequestsError", 503: "ServiceUnavailableError"}
    ours = {row[0].strip("`"): row[1].strip("`") for row in section("Errors")}
    listed = dict(re.findall(r"(\w+Error) +(\d{3}|5xx)", errors.__doc__ or ""))
    for status, theirs in by_status.items():
        assert getattr(wavix, theirs)(body=None).status_code == status
        assert listed[ours[theirs]] in (str(status), f"{status // 100}xx")


def test_a_429_has_an_error_of_its_own_in_as_many_of_their_operations_as_the_page_says() -> None:
    count = 0
    for theirs, *_ in ROWS:
        owner, _, name = theirs.rpartition(".")
        method = inspect.unwrap(getattr(path_of(VENDOR, owner).with_raw_response, name))
        count += "TooManyRequestsError" in method.__code__.co_names
    assert f"`TooManyRequestsError` at\n{count} of the 122 operations" in TEXT


def test_the_events_exist_in_both_packages() -> None:
    for left, right in section("Webhooks"):
        assert all(hasattr(wavix, name) for name in names_in(left))
        assert all(hasattr(webhooks, name) for name in names_in(right))
    event = re.compile(r"(Updated|Completed|Status)Webhook$|^Inbound\w*Message|DeliveryReport$")
    models = {name for name in dir(wavix) if event.search(name)}
    assert models == {name for left, _ in section("Webhooks") for name in names_in(left)}


def test_the_arguments_of_both_clients_exist() -> None:
    theirs = inspect.signature(wavix.AsyncWavix).parameters
    ours = inspect.signature(WavixClient).parameters
    for left, right in section("The client"):
        assert set(re.findall(r"`(\w+)=[\d`]", left)) <= set(theirs)
        if not right.startswith("`w"):
            assert set(re.findall(r"`(\w+)=`", right)) <= set(ours)
    assert theirs["max_retries"].default is None
    assert RetryPolicy().attempts == 4


# --- what both do ---


async def test_a_message_whose_answer_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    http_client = importlib.import_module("wavix.core.http_client")
    monkeypatch.setattr(http_client, "INITIAL_RETRY_DELAY_SECONDS", 0.0)
    async with Sandbox(numbers=1) as sandbox, httpx.AsyncClient(verify=False) as transport:
        client = wavix.AsyncWavix(token=sandbox.api_key, base_url=sandbox.url, httpx_client=transport)
        sandbox.fail_next(500, match="POST /v3/messages", count=2)
        body = wavix.MessageBody(text="Hi")
        await client.sms_and_mms.messages.send(from_="Acme", to="15125550143", message_body=body)
        assert [request.status for request in sandbox.requests] == [500, 500, 201]

        sandbox.fail_next(500, match="POST /v3/messages")
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as ours:
            with pytest.raises(OutcomeUnknownError):
                await ours.messages.send(**MessageCreate(from_="Acme", to="15125550143", text="Hi"))
        assert [request.status for request in sandbox.requests][3:] == [500]


async def test_python_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(numbers=2) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        names: dict[str, Any] = {}
        for block in python_blocks(TEXT):
            await run_block(block, "from_vendor.md", names)
        assert len(names["page"]) == 2
        assert [request.status for request in sandbox.requests] == [200]


@pytest.mark.parametrize("program", ["before", "after"])
async def test_the_program_before_and_after(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"examples.from_vendor.{program}")
    (tmp_path / "customers.csv").write_text("c1,15125550143\nc2,15125550144\n", encoding="utf-8")
    # The file host of the sandbox has no certificate that httpx knows, so both get the files from the API itself.
    async with Sandbox(numbers=101, cdrs=200, files="bytes") as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        for number in list(sandbox.numbers)[:101]:  # two pages
            sandbox.change(number, label="Support")
        await module.main(tmp_path / "customers.csv", tmp_path / "exports")
        url = after.CHANGE.call_status_url
        assert [number["call_status_url"] for number in sandbox.numbers.values()].count(url) == 101
        for number in list(sandbox.numbers)[1:101]:
            sandbox.change(number, label="Sales")
        await module.main(tmp_path / "customers.csv", tmp_path / "exports")  # it finds the messages and files done
        assert sandbox.stats.charges == {"POST /v3/messages": 2}
        saved = {path.stem for path in (tmp_path / "exports").iterdir()}
    shown = capsys.readouterr().out
    assert "101 of 101 numbers changed\n2 messages accepted, 2 delivered" in shown
    assert sum(map(int, re.findall(r"^(\d+) recordings saved$", shown, re.MULTILINE))) == len(saved)
    assert len(saved) > 0


def test_the_programs_have_the_lines_that_the_page_says() -> None:
    before, now = (
        len(inspect.getsource(importlib.import_module(f"examples.from_vendor.{name}")).splitlines())
        for name in ("before", "after")
    )
    assert 115 <= before <= 130
    assert f"needs {now}:" in TEXT
