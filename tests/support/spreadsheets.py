"""Excel workbooks without a library that writes them."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ERROR", "FORMULA", "rewritten", "workbook"]

ERROR = object()
"""A cell with the error #N/A."""
FORMULA = object()
"""A cell with a formula that no spreadsheet has computed."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def workbook(*sheets: Sequence[Sequence[object]]) -> bytes:
    """Return an .xlsx file with these sheets: rows of numbers, texts, booleans, errors and None."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_RELS}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        names = range(1, len(sheets) + 1)
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELS}"><sheets>'
            + "".join(f'<sheet name="Sheet{no}" sheetId="{no}" r:id="r{no}"/>' for no in names)
            + "</sheets></workbook>",
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">'
            + "".join(
                f'<Relationship Id="r{no}" Type="{_RELS}/worksheet" Target="worksheets/sheet{no}.xml"/>' for no in names
            )
            + "</Relationships>",
        )
        for no, rows in zip(names, sheets, strict=True):
            lines = "".join(
                f'<row r="{at}">{"".join(_cell(at, column, value) for column, value in enumerate(row))}</row>'
                for at, row in enumerate(rows, start=1)
            )
            book.writestr(
                f"xl/worksheets/sheet{no}.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'
            )
    return made.getvalue()


def rewritten(content: bytes, change: Callable[[str], str]) -> bytes:
    """Return a workbook with this change to the names and the texts of all its parts."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(change(name), change(old.read(name).decode()))
    return made.getvalue()


def _cell(row: int, column: int, value: object) -> str:
    place = f'r="{chr(65 + column)}{row}"'
    if value is None:
        return ""
    if value is ERROR:
        return f'<c {place} t="e"><v>#N/A</v></c>'
    if value is FORMULA:
        return f"<c {place}><f>A1&amp;A2</f><v></v></c>"
    if isinstance(value, bool):
        return f'<c {place} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c {place}><v>{value}</v></c>"
    return f'<c {place} t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'
