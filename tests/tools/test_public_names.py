"""`.ci/public_names.py` finds what breaks a caller, and only that."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="griffe is installed for the checks of a release")

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("public_names", ROOT / ".ci" / "public_names.py")
assert _spec is not None
assert _spec.loader is not None
public_names = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(public_names)

BEFORE = """
# module package
class Client():
    def __init__(self, key, *, rate=None): ...
    async def send(self, *, to, text='...'): ...
    limits: ...
    @classmethod def from_profile(cls, name): ...
class Status(str):
    NEW = 'new'
    SENT = 'sent'
def read(path, layout=None): ...
# module package.more
Client = package.Client
"""


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("def read(path, layout=None): ...\n", "", "read"),
        ("    limits: ...\n", "", "limits"),
        ("*, to, text='...'", "*, to", "text"),
        ("*, to, text='...'", "*, to, sender, text='...'", "sender"),
        ("path, layout=None", "layout=None, path=None", "layout"),
        ("(self, key, *, rate=None)", "(self, *, key, rate=None)", "key"),
        ("    @classmethod def from_profile(cls, name): ...\n", "", "from_profile"),
        ("    SENT = 'sent'\n", "", "SENT"),
        ("class Status(str)", "class Status()", "Status"),
        ("# module package.more\nClient = package.Client\n", "", "package.more"),
        ("Client = package.Client\n", "", "Client"),
    ],
)
def test_what_breaks_a_caller_is_found(old: str, new: str, named: str) -> None:
    assert old in BEFORE
    found = list(public_names.breaks(BEFORE, BEFORE.replace(old, new)))
    assert len(found) >= 1
    assert any(named in line for line in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limits: ...", "limits: ...\n    other: ..."),
        ("text='...'", "text='...', tag=None"),
        ("def read(", "def write(path): ...\ndef read("),
        ("# module package.more\n", "# module package.less\ndef new(): ...\n# module package.more\n"),
        ("    SENT = 'sent'\n", "    SENT = 'sent'\n    LOST = 'lost'\n"),
    ],
)
def test_what_is_new_breaks_no_caller(old: str, new: str) -> None:
    assert old in BEFORE
    assert not list(public_names.breaks(BEFORE, BEFORE.replace(old, new)))


def test_the_package_has_every_public_name_of_the_last_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert public_names.main([]) == 0, capsys.readouterr().out


def test_the_text_shows_what_a_caller_may_write() -> None:
    text = public_names.declarations()
    modules = public_names.parse(text)
    send = modules["wavix_async.resources.messages"]["Messages.send"]
    assert {"from_", "to", "text", "idempotency_key"} <= {parameter.name for parameter in send.parameters}
    assert "numbers" in modules["wavix_async"]["WavixClient"].members
    assert "0x" not in text
