"""Call detail records, and transcriptions of calls: `/v1/cdrs`."""

from datetime import datetime
from functools import cached_property
from typing import Final

from wavix_async._http import EventSource, Export, Operation
from wavix_async.errors import NotFoundError
from wavix_async.models.cdrs import (
    CDR,
    CDRExport,
    CDRList,
    CDRPage,
    CDRRetranscription,
    CDRSearch,
    CDRTranscription,
    TranscriptionStatus,
)
from wavix_async.models.common import Success
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import is_newer, moment, wait_until

__all__ = ["CDRs", "Transcription", "Transcriptions"]

LIST: Final = Operation("GET", "/v1/cdrs", CDRPage, scope="calls:read")
# It only reads: the filters are in a body because they do not fit a query.
SEARCH: Final = Operation("POST", "/v1/cdrs", CDRPage, scope="calls:read", idempotent=True)
EXPORT: Final = Operation("GET", "/v1/cdrs/all", Export[CDR], scope="calls:read")
GET: Final = Operation("GET", "/v1/cdrs/{call_id}", CDR, scope="calls:read", reserved=("all",))
# Each transcription is charged.
RETRANSCRIBE: Final = Operation(
    "PUT", "/v1/cdrs/{call_id}/retranscribe", Success, scope="calls:write", idempotent=False
)
# No id is compared: the URLs of the API have the id of the transcription in the place of the call's.
GET_TRANSCRIPTION: Final = Operation(
    "GET", "/v1/cdrs/{call_id}/transcription", CDRTranscription, scope="calls:read", answer_id=""
)
GET_TRANSCRIPTIONS: Final = Operation(
    "GET", "/v1/cdrs/{call_id}/transcriptions", CDRTranscription, scope="calls:read", answer_id=""
)

_CALL_ID: Final = TextId("call_id", "CDR.id, the call's id")
_ENDS: Final = (TranscriptionStatus.COMPLETED, TranscriptionStatus.FAILED)


class Transcription(Resource):
    """The transcription of a call: `/v1/cdrs/{call_id}/transcription`."""

    _ids = (_CALL_ID,)

    async def get(self, call_id: str) -> CDRTranscription:
        """Read the transcription of a call (GET /v1/cdrs/{call_id}/transcription).

        Scope `calls:read`; it only reads, so the client may repeat it.

        Args:
            call_id: The call's id (`CDR.id`).

        Raises:
            NotFoundError: There is no such call, or it has no transcription, or none yet: see `wait`.
        """
        return await self._call(GET_TRANSCRIPTION, call_id)

    async def wait(
        self,
        call_id: str,
        *,
        newer_than: datetime | None = None,
        events: EventSource | None = None,
        every: tuple[float, float] = (5.0, 30.0),
        timeout: float | None = 1800.0,
    ) -> CDRTranscription:
        """Wait until a call is transcribed (GET /v1/cdrs/{call_id}/transcription until it is).

            before = await wavix.cdrs.transcription.get(call_id)
            await wavix.cdrs.retranscribe(call_id, language="de")
            after = await wavix.cdrs.transcription.wait(call_id, newer_than=before.transcription_date)

        A transcription typically takes ten minutes. The reads are in the bulk lane: other calls go first.

        Args:
            call_id: The call's id (`CDR.id`).
            newer_than: Wait for a transcription that is newer: the `transcription_date` of the one to replace.
            events: Where `call_transcription` events arrive, to read at once after one. `cdrs.retranscribe` must have
                been called with a `webhook_url` that leads there.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.

        Returns:
            The transcription, `completed` or `failed`: look at its `status`.

        Raises:
            WaitTimeoutError: The call is not transcribed in time; `last` is the transcription as it was read last, or
                None if there was none.
            NotFoundError: There is no such call.
        """
        path, newer_than = self._path(GET_TRANSCRIPTION, (call_id,)), moment("newer_than", newer_than)
        # A 404 of the transcription means "not yet" only if there is such a call.
        await self._client.with_options(lane="bulk").call(GET, path=path)
        return await wait_until(
            self._client,
            lambda client: client.call(GET_TRANSCRIPTION, path=path),
            lambda found: found.status in _ENDS and is_newer(found.transcription_date, newer_than),
            what=f"call {call_id} is transcribed",
            every=every,
            timeout=timeout,
            absent=(NotFoundError,),
            events=events,
            event="CallTranscriptionCompleted",
            uuid=call_id,
        )


class Transcriptions(Resource):
    """Another path of the transcription of a call: `/v1/cdrs/{call_id}/transcriptions`."""

    _ids = (_CALL_ID,)

    async def get(self, call_id: str) -> CDRTranscription:
        """Read the transcription of a call (GET /v1/cdrs/{call_id}/transcriptions).

        The answer is that of `cdrs.transcription.get`, one transcription and not a list. Scope `calls:read`; it only
        reads, so the client may repeat it.

        Args:
            call_id: The call's id (`CDR.id`).

        Raises:
            NotFoundError: There is no such call, or it has no transcription, or none yet.
        """
        return await self._call(GET_TRANSCRIPTIONS, call_id)


class CDRs(Resource):
    """Call detail records: `/v1/cdrs`."""

    _ids = (_CALL_ID,)

    @cached_property
    def transcription(self) -> Transcription:
        """The transcription of a call: `/v1/cdrs/{call_id}/transcription`."""
        return Transcription(self._client)

    @cached_property
    def transcriptions(self) -> Transcriptions:
        """Another path of the transcription of a call: `/v1/cdrs/{call_id}/transcriptions`."""
        return Transcriptions(self._client)

    @unpack(CDRList)
    def list(self, query: CDRList) -> Paginator[CDRPage, CDR]:
        """List call detail records (GET /v1/cdrs): `await` gives one page, `async for` all of them.

        Without `disposition`, the API returns only answered calls. Scope `calls:read`; it only reads, so the client may
        repeat it.
        """
        return self._pages(LIST, query=query)

    @unpack(CDRSearch)
    def search(self, body: CDRSearch) -> Paginator[CDRPage, CDR]:
        """Search for calls by what was said (POST /v1/cdrs): `await` gives one page, `async for` all of them.

            async for call in wavix.cdrs.search(
                from_="2026-11-01", to="2026-11-30", type="received", transcription={"client": {"must": ["refund"]}}
            ):
                ...

        Without `disposition`, the API returns only answered calls. Scope `calls:read`; it only reads, so the client may
        repeat it, although it is a POST.
        """
        return self._search(SEARCH, body=body)

    @unpack(CDRExport)
    def export(self, query: CDRExport) -> Export[CDR]:
        """Read all call detail records of some days as a stream (GET /v1/cdrs/all), in constant memory.

            async for call in wavix.cdrs.export(from_="2026-11-01", to="2026-11-30", type="placed", disposition="all"):
                ...
            saved = await wavix.cdrs.export(from_=day, to=day, type="received").save("calls.csv")  # or "calls.ndjson"

        The rows are sparse: a field that a row does not have is None, and most rows have `uuid` and no `call_id`; `id`
        is either. Without `disposition`, the API returns only answered calls. Scope `calls:read`; it only reads, and
        the client repeats it while no row has been handed out.
        """
        return self._export(EXPORT, query=query)

    async def get(self, call_id: str, *, show_transcription: bool | None = None) -> CDR:
        """Read one call detail record (GET /v1/cdrs/{call_id}).

        Scope `calls:read`; it only reads, so the client may repeat it.

        Args:
            call_id: The call's id (`CDR.id`).
            show_transcription: Whether to include where the transcription is.

        Raises:
            NotFoundError: There is no such call, or it has not ended yet.
        """
        return await self._call(GET, call_id, query={"show_transcription": show_transcription})

    @unpack(CDRRetranscription)
    async def retranscribe(self, call_id: str, options: CDRRetranscription) -> Success:
        """Transcribe the recording of a call, or transcribe it again (PUT /v1/cdrs/{call_id}/retranscribe).

        The API answers at once and transcribes later: see `transcription.wait`. Scope `calls:write`. Each minute is
        charged, so the call is never sent twice. After an unknown outcome, `transcription.get` shows a newer
        `transcription_date` if it was carried out; an older one proves nothing yet.

        Args:
            call_id: The call's id (`CDR.id`).

        Raises:
            NotFoundError: There is no such call, or it has no recording.
            UnprocessableEntityError: The account has insufficient funds.
            OutcomeUnknownError: No certain answer came: the call may be transcribed, and charged.
        """
        return await self._call(RETRANSCRIBE, call_id, body=options)
