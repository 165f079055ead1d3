"""Every example in a docstring of the package runs, against the sandbox.

An example is an indented block of Python after a paragraph. Each one runs in a prepared account. What an example
takes for granted, such as `call_id`, is in `Account`, and an id that it writes out is replaced by one of the account.
"""

from __future__ import annotations

import ast
import contextlib
import datetime
import doctest
import functools
import importlib
import itertools
import os
import pkgutil
import re
import textwrap
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import wavix_async
from tests.support.pages import python_blocks, run_block, text_of
from wavix_async import WavixClient, models, testing
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(wavix_async.__file__).parent
SECTION: Final = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
# Blocks that show no code: a tree, a list of files, the way of a request.
PICTURES: Final = {"errors.py", "_http/__init__.py", "webhooks/_router.py"}
# For developers of the sandbox: how a group of its operations is written.
INTERNAL: Final = {"sandbox/_groups/collection.py"}


def blocks_of(docstring: str) -> Iterator[str]:
    """Yield the indented blocks of a docstring that belong to no section of it."""
    in_section = False
    for is_indented, group in itertools.groupby(docstring.split("\n"), lambda line: not line or line[0].isspace()):
        lines = list(group)
        if not is_indented:
            in_section = bool(SECTION.fullmatch(lines[-1]))
        elif not in_section and not lines[0] and any(lines):
            yield textwrap.dedent("\n".join(lines)).strip("\n")


def examples() -> Iterator[Any]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for block in blocks_of(ast.get_docstring(node) or ""):
                    is_code = not block.startswith((">>>", "- ", "* ", "1. ", "|"))
                    if is_code and name not in INTERNAL and not (name in PICTURES and not _compiles(block)):
                        yield pytest.param(block, id=f"{name}:{getattr(node, 'name', 'module')}")


def _compiles(block: str) -> bool:
    try:
        compile(block, "docstring", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return True


EXAMPLES: Final = list(examples())
# What an example writes out, and what there is in the account.
INSTEAD: Final = {
    "MessageCreate(...)": 'MessageCreate(from_="Acme", to="+15125550143", text="Your order has left.")',
    'from_=day, to=day, type="received"': "from_=day, to=day, type='received', disposition='all'",
    "wavix.numbers.update(123, ": "wavix.numbers.update(1001, ",
    "edit(3107,": "edit(trunk_id,",
    "edit(123,": "edit(organization_id,",
    '{"id": "46a2"}': '{"id": call_in_progress}',
    'body={"label": "office", "password": "..."}': "body=office",
    "invoices.download(1)": "invoices.download(invoice_id)",
    '["541139862174"]': '["13131000001"]',
    "...  # a client with": (
        "async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix: "
        "await wavix.numbers.update(1001, sms_enabled=True)  # a client with"
    ),
    '"/v1/recordings/{id}"': '"/v1/recordings/{call_id}"',
    '{"id": call_id}': '{"call_id": call_id}',
}
OFFICE: Final = {
    **{"label": "office", "password": "not-a-real-password", "callerid": "15125550143", "transcription_threshold": 10},
    **dict.fromkeys(("ip_restrict", "didinfo_enabled", "call_restrict", "channels_restrict"), False),
    **dict.fromkeys(("rewrite_enabled", "transcription_enabled"), False),
}


class Account(dict[str, Any]):
    """The names that examples use. What needs a request is made when an example that uses it is about to run."""

    def __init__(self, wavix: WavixClient, sandbox: Sandbox) -> None:
        for each in pkgutil.iter_modules(wavix_async.__path__):
            # The names of a fleet, such as `plan`, are used with `fleet.` before them.
            if not each.name.startswith("_") and each.name not in {"cli", "fleet"}:
                with contextlib.suppress(ModuleNotFoundError):  # an extra is not installed
                    module = importlib.import_module(f"wavix_async.{each.name}")
                    self.update({name: getattr(module, name) for name in module.__all__})
        self.update({name: getattr(wavix_async, name) for name in wavix_async.__all__})
        self.update(
            wavix=wavix, sandbox=sandbox, Sandbox=Sandbox, os=os, Path=Path, date=datetime.date, __name__="docstring",
            ids=[1001, 1002], changes={1001: models.NumberUpdate(sms_enabled=True)}, customer="+15125550143",
            day=datetime.date.today(), password="not-a-real-password", office=OFFICE, numbers=["+15125550143"],  # noqa: DTZ011
        )  # fmt: skip
        self.sandbox = sandbox
        self.wavix = wavix

    async def prepare(self, block: str) -> None:
        """Add what a block uses."""
        used = set(re.findall(r"[a-z_]\w+", block))
        for name in sorted(used):
            make = getattr(self, f"make_{name}", None)
            if make is not None:
                value = make()
                self[name] = await value if isinstance(value, types.CoroutineType) else value

    def make_app(self) -> Any:
        fastapi = pytest.importorskip("fastapi")
        self["FastAPI"] = fastapi.FastAPI
        return fastapi.FastAPI()

    def make_call_id(self) -> str:
        call = self.sandbox.add_call(from_="15125550143", to="13139368787", transcription=True)
        return str(call["uuid"])

    async def make_call_in_progress(self) -> str:
        return (await self.wavix.calls.create(from_="15122000000", to="+15125550143")).id

    async def make_sent(self) -> Any:
        return await self.wavix.messages.send(from_="Acme", to="+15125550143", text="Hello")

    async def make_brand(self) -> Any:
        await self._ten_dlc()
        return self["brand"]

    async def make_brand_id(self) -> str:
        await self._ten_dlc()
        return str(self["brand"].brand_id)

    async def make_campaign(self) -> Any:
        await self._ten_dlc()
        return self["campaign"]

    async def make_campaign_id(self) -> str:
        await self._ten_dlc()
        self["numbers"] = [self.sandbox.numbers[1001]["number"]]
        return str(self["campaign"].campaign_id)

    async def _ten_dlc(self) -> None:
        """Register a brand and a campaign as docs/ten_dlc.md does."""
        if "campaign" not in self:
            for block in python_blocks(text_of("ten_dlc.md"))[:2]:
                await run_block(block, "ten_dlc.md", self)
            self["wavix"] = self.wavix

    async def make_evidence(self) -> Any:
        await self._ten_dlc()
        brand_id = self["brand"].brand_id
        return await self.wavix.ten_dlc.brands.evidence.upload(brand_id, file=b"%PDF-1.4", filename="register.pdf")

    async def make_session_id(self) -> str:
        (service,) = self.sandbox.two_fa_services
        sent = await self.wavix.two_fa.verification.create(service_id=service, to="+15125550143", channel="sms")
        self["form"] = {"code": self.sandbox.code(sent.session_id)}
        return sent.session_id

    async def make_trunk_id(self) -> int:
        return (await self.wavix.trunks.create(**OFFICE)).id

    async def make_organization_id(self) -> int:
        return (await self.wavix.sub_organizations.create(name="Branch")).id

    async def make_invoice_id(self) -> int:
        invoice = await self.wavix.billing.invoices.list().first()
        assert invoice is not None
        return int(invoice.id)


@functools.cache
def description() -> str:
    return (PACKAGE / "spec" / "openapi.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", EXAMPLES)
async def test_an_example_runs(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    if "openapi.json" in block:
        Path("openapi.json").write_text(description(), encoding="utf-8")
    for written, there in INSTEAD.items():
        block = block.replace(written, there)
    async with Sandbox(numbers=3, cdrs=0, seed=1) as local:
        monkeypatch.setenv("WAVIX_API_KEY", local.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", local.url)
        monkeypatch.setenv("WAVIX_WEBHOOK_SECRET", "a-secret-of-the-tests")
        monkeypatch.setenv("WAVIX_CONFIG", str(tmp_path / "config.toml"))
        if "profile" in block:
            Path("config.toml").write_text(f'[default]\nbase_url = "{local.url}"\n[eu]\nbase_url = "{local.url}"\n')
        async with WavixClient() as wavix:
            testing.skip_waits(wavix, local.advance)
            account = Account(wavix, local)
            await account.prepare(block)
            await run_block(block, "docstring", account)


def test_there_are_examples_in_every_part() -> None:
    assert len(EXAMPLES) >= 40


@pytest.mark.parametrize("module", ["wavix_async._codec.sms"])
def test_an_example_with_its_result_shows_what_comes(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert (failed, tried > 0) == (0, True)
