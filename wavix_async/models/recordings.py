"""Recordings of calls: the requests and answers of `/v1/recordings`."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Model, PageQuery
from wavix_async.models.common import Page

__all__ = ["InvalidRecording", "Recording", "RecordingList", "RecordingPage"]


@frozen(kw_only=True)
class Recording(Model):
    """The recording of a call."""

    id: int = field(default=None)
    """The record's id, for `recordings.get` and `recordings.delete`."""
    created_at: datetime = field(default=None)
    duration: int = field(default=None)
    """Seconds."""
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The phone number that called."""
    to: str = field(default=None)
    """The phone number that was called."""
    call_uuid: str = field(default=None)
    """The call's id, for `recordings.download`."""
    url: str = field(default=None, repr=False)
    """The URL of the file. It may contain the API key, so repr does not show it."""


@frozen(kw_only=True)
class InvalidRecording(Model):
    """The values of filters that matched nothing."""

    dids: list[str] | None = None
    """Phone numbers."""
    sip_trunks: list[str] | None = None
    """Logins of SIP trunks."""


@frozen(kw_only=True)
class RecordingPage(Page[Recording]):
    """One page of recordings."""

    items: Annotated[list[Recording], override(rename="recordings")] = field(default=None)
    invalid: InvalidRecording | None = None
    """The values of the filters that matched nothing."""


@frozen(kw_only=True)
class RecordingList(PageQuery):
    """Which recordings to list, or to download.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    from_date: date | str | None = None
    """The first day, in UTC."""
    to_date: date | str | None = None
    """The last day, in UTC."""
    from_: Annotated[str | None, override(rename="from")] = None
    """The phone number that called, or a part of it."""
    to: str | None = None
    """The phone number that was called, or a part of it."""
    call_uuid: str | None = None
    """The id of one call."""
    sip_trunks: Sequence[str] | None = None
    """The logins of SIP trunks, whose outbound calls to list."""
