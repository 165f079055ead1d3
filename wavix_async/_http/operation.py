"""`Operation`: one call of the API as data. Everything that depends on which call it is stands here, once."""

from typing import Final, Generic, TypeVar

import attrs

from wavix_async.models.common import Success

__all__ = ["Operation"]

T = TypeVar("T")

# PATCH is left out: whether setting fields twice is harmless is decided operation by operation.
_REPEATABLE_METHODS: Final = frozenset({"GET", "PUT", "DELETE"})


@attrs.frozen
class Operation(Generic[T]):
    """One API call: where it goes, what it answers, and what may be done when it fails.

    Attributes:
        method: HTTP method, in capitals.
        path: Path with placeholders: `/v1/numbers/{id}`.
        result: What a success answers: a model, a list of models, or None where the body does not matter.
        scope: The permission that the key needs (`numbers:write`), or None.
        idempotent: Whether sending it twice does no more than sending it once. GET, PUT and DELETE default to True,
            all others to False: a new operation is safe until somebody has thought about it.
        limit_group: Operations of one group share a rate limit.
        fail_fast_on_429: A 429 means "not now, and not soon" (once per 24 hours): it is an error at once.
        not_found_is_success: A 404 after an attempt with an unknown outcome means that the attempt worked. Default: for
            every DELETE that answers `Success`.
        error_flag_is_data: `success: false` or `error: true` under a 2xx belongs to what the call asked for, as its
            schema says; elsewhere it is an error.
    """

    method: str
    path: str
    result: type[T] | None
    scope: str | None = attrs.field(default=None, kw_only=True)
    idempotent: bool = attrs.field(
        default=attrs.Factory(lambda self: self.method in _REPEATABLE_METHODS, takes_self=True), kw_only=True
    )
    limit_group: str = attrs.field(default="default", kw_only=True)
    fail_fast_on_429: bool = attrs.field(default=False, kw_only=True)
    not_found_is_success: bool = attrs.field(
        default=attrs.Factory(lambda self: self.method == "DELETE" and self.result is Success, takes_self=True),
        kw_only=True,
    )

    error_flag_is_data: bool = attrs.field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The name in messages and events: `PATCH /v1/numbers/{id}`."""
        return f"{self.method} {self.path}"
