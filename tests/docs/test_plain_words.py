"""Code, comments, docs and help use plain words: no word of an old, private English is left in them.

The rules: a sentence names its actor (caller, worker, server, client, process, timer, user), in the active voice and
the present tense. This test finds the words that broke them most often. It has no exceptions: it leaves out only what
`tests/docs/test_names.py` keeps from changing, because journals, Redis and dashboards know it. A letter in brackets, or
a bar in a sample, keeps this file from matching itself.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    *("wavix_async", "docs", "examples", "benchmarks", "tests", ".ci"),
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Makefile", "pyproject.toml"),
)
SUFFIXES = {".py", ".md", ".toml", ".html", ".js", ".css", ".yaml"}

WORDS = {
    "w[h]o, without a noun before it": (
        r"(?-i:\bW[h]o\b)"
        r"|(?:[,;:.(#\"'`]|\b(?:and|or|for|of|to|by|but|from|with|than|that|test))\s*(?<!\w)w[h]o\b(?!')"
    ),
    "w[h]oever, w[h]om": r"\bw[h]o(?:ever|m)\b",
    "no[b]ody and the like": r"\b(?:no|some|any|every)[b]ody\b",
    "a[n]ew": r"\ba[n]ew\b",
    "h[e]ed": r"\bh[e]ed(?:s|ed|ing)?\b",
    "is t[o]ld": r"\b(?:is|are|be)\s+t[o]ld\b",
    "st[a]nds": r"\bst[a]nds\b(?!\s+(?:in\s+)?for\b)|\bas\s+they\s+st[a]nd\b",
    "in d[o]ubt": r"\bin\s+d[o]ubt\b",
    "all the s[a]me": r"\ball\s+the\s+s[a]me\b",
    "on and [o]n": r"\bon\s+and\s+[o]n\b",
    "as it was l[e]ft": r"\bas\s+(?:it\s+was|the\s+run\s+has)\s+l[e]ft\b",
    "of its own acc[o]rd": r"\bof\s+its\s+own\s+acc[o]rd\b",
    "sh[a]ll": r"\bsh[a]ll\b",
    "what is n[o]": r"\bwhat\s+(?:is|are)\s+n[o]\b",
    "for the s[a]ke of": r"\bfor\s+the\s+s[a]ke\s+of\b",
    "made g[o]od": r"\bmade\s+g[o]od\b",
    "by and [b]y": r"\bby\s+and\s+[b]y\b",
    "there[b]y, h[e]nce and the like": r"\b(?:there[b]y|there[o]f|w?h[e]nce)\b",
    "[o]ught": r"\b[o]ught\b",
}
PATTERNS = {words: re.compile(pattern, re.IGNORECASE) for words, pattern in WORDS.items()}
NAMES = json.loads((ROOT / "tests" / "data" / "names_63b61a9.json").read_text(encoding="utf-8"))
# The underscores of names, the marks of comments, and the quotes between the lines of one string.
BETWEEN = re.compile(r"""_|(?<=\n)\s*(?:\#|//|\*)\s|["']\s*\n\s*f?["']""")


def files() -> Iterator[Path]:
    for place in PLACES:
        path = ROOT / place
        found = sorted(path.rglob("*")) if path.is_dir() else [path]  # a file that is missing is left out below
        for each in found:
            # The scripts of .ci have no suffix; Python keeps bytecode beside those that a test imports.
            is_script = path.name == ".ci" and each.suffix != ".pyc"
            if each.is_file() and (path.is_file() or each.suffix in SUFFIXES or is_script):
                yield each


def blank(found: re.Match[str]) -> str:
    return re.sub(r"\S", " ", found[0])


def without_pinned_names(text: str) -> str:
    """Blank the texts and the Redis scripts that test_names.py pins; lines stay where they are."""
    pinned = "|".join(re.escape(each) for each in NAMES["texts"] if " " in each.strip())
    text = re.sub(pinned, blank, text)

    def blank_script(found: re.Match[str]) -> str:
        is_pinned = hashlib.sha1(found[1].encode()).hexdigest() in NAMES["redis"]["scripts"]
        return blank(found) if is_pinned else found[0]

    return re.sub(r'"""(.*?)"""', blank_script, text, flags=re.DOTALL)


def hits(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, words and the line's text of everything that is found; a phrase may go over the end of a line."""
    plain = BETWEEN.sub(blank, without_pinned_names(text))
    ends = [found.start() for found in re.finditer("\n", text)]
    lines = text.splitlines()
    for words, pattern in PATTERNS.items():
        for found in pattern.finditer(plain):
            at = bisect.bisect_left(ends, found.end() - 1)
            yield at + 1, words, lines[at].strip()


def report(name: str, text: str) -> list[str]:
    return [f"{name}:{line}: {words.replace('[', '').replace(']', '')}: {shown}" for line, words, shown in hits(text)]


@pytest.mark.parametrize("place", PLACES)
def test_files_use_plain_words(place: str) -> None:
    if not (ROOT / place).exists():
        pytest.skip("an sdist does not have it")
    of_place = [path for path in files() if path.relative_to(ROOT).parts[0] == place]
    assert of_place
    found = []
    for path in of_place:
        found += report(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


def test_the_help_of_every_command_uses_plain_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = pytest.importorskip("wavix_async.cli").main
    monkeypatch.setenv("COLUMNS", "400")

    def help_of(*command: str) -> str:
        assert main([*command, "--help"]) == 0
        return capsys.readouterr().out

    waiting: list[tuple[str, ...]] = [()]
    found, seen = [], 0
    while waiting:
        command = waiting.pop()
        shown = help_of(*command)
        seen += 1
        found += report(" ".join(command) or "wavix-async", re.sub("[│╭╮╰╯─]", " ", shown))
        panel = shown.partition("Commands")[2]
        # The help of the groups of the API is made of docstrings, which the test above reads.
        if not command or command[0] in {"demo", "fleet", "numbers", "sandbox", "spec", "webhooks"}:
            waiting += [(*command, name) for name in re.findall(r"^│ ([a-z][a-z-]+) ", panel, re.MULTILINE)]
    assert seen >= 30
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "sample",
    [
        "Wh|o waits holds no slot.",
        "# a number and\n    # wh|o changed it",
        "for wh|o asks, and to wh|om",
        "test_no|body_waits",
        'raise Error("The caller is "\n    "to|ld")',
        "where it sta|nds",
        "read what is in\n  # do|ubt",
        "It goes on and o|n.",
        "test_what_is_n|o_number",
        "what sh|all be",
        "he|nce",
    ],
)
def test_the_patterns_find(sample: str) -> None:
    assert list(hits(sample.replace("|", "")))


@pytest.mark.parametrize(
    "sample",
    [
        "the caller who waits",
        "someone who\nwaits",
        "It stands for a name.",
        "what is not there",
        "told to wait",
        "whole",
    ],
)
def test_the_patterns_leave_alone(sample: str) -> None:
    assert list(hits(sample)) == []
