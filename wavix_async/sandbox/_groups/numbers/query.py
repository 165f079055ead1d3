"""Read query strings."""

import re
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.numbers.store import Filter
from wavix_async.sandbox._groups.reading import paging, positive
from wavix_async.sandbox._server import ApiError, invalid

_ID_KEY = re.compile(r"ids(\[\d*\])?")


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise invalid(name)
    return text == "true"


def listing(query: str) -> tuple[Filter, int, int]:
    """Return the filter, the page and the page size (at most 100) from the query of `GET /v1/numbers`.

    Raises:
        ApiError: 400 with the name of the parameter.
    """
    given = dict(parse_qsl(query, keep_blank_values=True))
    wanted = Filter(
        # A plus sign that the caller did not encode arrives as a space.
        search=given["search"].strip().lstrip("+") if "search" in given else None,
        label=given.get("label"),
        label_present=_flag("label_present", given["label_present"]) if "label_present" in given else None,
        city_id=positive("city_id", given["city_id"]) if "city_id" in given else None,
    )
    return wanted, *paging(given)


def selection(query: str) -> tuple[list[int], list[str]]:
    """Return the record ids and phone numbers from the query of `DELETE /v1/numbers`; one of the two lists is empty.

    All common forms of a list are accepted: `ids=1&ids=2`, `ids[]=1`, `ids[0]=1`, `ids=1,2`.

    Raises:
        ApiError: 422, the query has both or neither, or an id is not a number.
    """
    ids: list[str] = []
    dids: list[str] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        values = [part.strip().lstrip("+") for part in value.split(",")]
        if key == "dids":
            dids += [part for part in values if part]
        elif _ID_KEY.fullmatch(key):
            ids += [part for part in values if part]
    if ids and dids:
        raise ApiError(422, "Missing or invalid parameter ids: give ids or dids, not both")
    if not ids and not dids:
        raise ApiError(422, "Missing or invalid parameter ids: give ids or dids")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in ids):
        raise ApiError(422, "Missing or invalid parameter ids")
    return list(dict.fromkeys(map(int, ids))), list(dict.fromkeys(dids))
