"""The operations of `wavix.numbers`, which have tests of their own."""

from __future__ import annotations

from typing import Final

ID_FIELDS: Final = {"GET /v1/numbers/{id}": "id", "PATCH /v1/numbers/{id}": "id"}
OWN_TESTS: Final = {
    *("GET /v1/numbers", "PATCH /v1/numbers", "DELETE /v1/numbers"),
    *("GET /v1/numbers/{id}", "PATCH /v1/numbers/{id}", "POST /v1/numbers/papers"),
}
