"""10DLC campaigns and their numbers: `/v3/10dlc/brands/{brand_id}/campaigns`."""

import builtins
import os
from collections.abc import AsyncIterable, Callable, Iterable
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Final

from wavix_async._http import BaseClient, EventSource, Operation
from wavix_async.models._checks import phone
from wavix_async.models.common import Success
from wavix_async.models.ten_dlc.campaigns import (
    TenDLCCampaign,
    TenDLCCampaignCreate,
    TenDLCCampaignList,
    TenDLCCampaignNudge,
    TenDLCCampaignNumber,
    TenDLCCampaignPage,
    TenDLCCampaignUpdate,
)
from wavix_async.models.ten_dlc.statuses import TenDLCCampaignStatus, TenDLCUseCase
from wavix_async.resources._base import Resource, refuse_empty
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until
from wavix_async.resources.ten_dlc._ids import BRAND_ID, CAMPAIGN_ID, NUMBER, digits_of
from wavix_async.types import UNSET, UnsetType

if TYPE_CHECKING:
    from wavix_async.bulk import BulkProgress, BulkRun

__all__ = ["CampaignNumbers", "Campaigns"]

_READ: Final = "campaigns:read"
_WRITE: Final = "campaigns:write"
_ALL: Final = "/v3/10dlc/brands/campaigns"
_CAMPAIGNS: Final = "/v3/10dlc/brands/{brand_id}/campaigns"
_CAMPAIGN: Final = f"{_CAMPAIGNS}/{{campaign_id}}"

LIST_ALL: Final = Operation("GET", _ALL, TenDLCCampaignPage, scope=_READ)
LIST: Final = Operation("GET", _CAMPAIGNS, TenDLCCampaignPage, scope=_READ)
CREATE: Final = Operation(
    "POST", _CAMPAIGNS, TenDLCCampaign, scope=_WRITE, echoes=("name", "usecase"), proof="campaign_id"
)
GET: Final = Operation("GET", _CAMPAIGN, TenDLCCampaign, scope=_READ)
UPDATE: Final = Operation("PUT", _CAMPAIGN, TenDLCCampaign, scope=_WRITE)
DELETE: Final = Operation("DELETE", _CAMPAIGN, Success, scope=_WRITE)
# A 429 means that the campaign is too young, or was nudged within a day.
NUDGE: Final = Operation("POST", f"{_CAMPAIGN}/nudge", Success, scope=_WRITE, fail_fast_on_429=True)

LIST_NUMBERS: Final = Operation(
    "GET", f"{_CAMPAIGN}/numbers", list[TenDLCCampaignNumber], scope=_READ, unwrap="numbers"
)
# A second link may send the number to the registry again.
LINK: Final = Operation("POST", f"{_CAMPAIGN}/numbers/{{number}}", Success, scope=_WRITE)
UNLINK: Final = Operation("DELETE", f"{_CAMPAIGN}/numbers/{{number}}", Success, scope=_WRITE)


class CampaignNumbers(Resource):
    """Phone numbers of a campaign: `/v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers`."""

    _ids = (BRAND_ID, CAMPAIGN_ID, NUMBER)

    async def list(self, brand_id: str, campaign_id: str) -> builtins.list[TenDLCCampaignNumber]:
        """List the numbers of a campaign (GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers).

        There are no pages. Scope `campaigns:read`; it only reads, so the client may repeat it.

        Raises:
            NotFoundError: There is no such campaign.
        """
        return await self._call(LIST_NUMBERS, brand_id, campaign_id)

    async def link(self, brand_id: str, campaign_id: str, number: str) -> Success:
        """Link a number (POST /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers/{number}).

        The operators decide later: see `wait`. An approved number is a sender ID. Scope `campaigns:write`. A second
        request may register the number again, so it is never sent twice; after an unknown outcome, look with `list`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).
            number: A phone number of the account, with country code, in any usual spelling.

        Raises:
            InputError: An id is empty, or the number is no phone number.
            NotFoundError: There is no such campaign or number.
            OutcomeUnknownError: There is no certain answer: the number may have been linked.
        """
        return await self._call(LINK, brand_id, campaign_id, digits_of(number))

    async def unlink(self, brand_id: str, campaign_id: str, number: str) -> Success:
        """Unlink a number (DELETE /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers/{number}).

        This deletes its sender ID, too. Scope `campaigns:write`; a second request changes nothing, so the client may
        repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).
            number: The phone number, with country code, in any usual spelling.

        Raises:
            InputError: An id is empty, or the number is no phone number.
            NotFoundError: There is no such campaign, or the number is not linked.
        """
        return await self._call(UNLINK, brand_id, campaign_id, digits_of(number))

    async def wait(
        self,
        brand_id: str,
        campaign_id: str,
        numbers: str | Iterable[str],
        *,
        every: tuple[float, float] = (30.0, 900.0),
        timeout: float | None = 86_400.0,
        events: EventSource | None = None,
    ) -> builtins.list[TenDLCCampaignNumber]:
        """Wait until the operators have decided on numbers, with one read for all of them.

        It reads GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers until they have. A number that the list
        does not show yet counts as pending. With `events=hooks` (`wavix_async.webhooks`), an event of the campaign's
        numbers makes it read at once. The reads are in the bulk lane: other calls go first.
        Scope `campaigns:read`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).
            numbers: One phone number, or several.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit. Default: one day.
            events: What receives webhooks; None: only the reads show a decision.

        Returns:
            The numbers, in the order given, each `APPROVED` or `REJECTED`.

        Raises:
            InputError: A number is no phone number.
            WaitTimeoutError: Numbers are pending; `last` is the list of those that the API showed last.
            NotFoundError: There is no such campaign.
        """
        wanted = [*dict.fromkeys(map(digits_of, [numbers] if isinstance(numbers, str) else numbers))]

        async def read(client: BaseClient) -> builtins.list[TenDLCCampaignNumber]:
            found = await CampaignNumbers(client).list(brand_id, campaign_id)
            shown = {phone(each.number, plus=False): each for each in found if isinstance(each.number, str)}
            return [shown[number] for number in wanted if number in shown]

        return await wait_until(
            self._client,
            read,
            lambda found: len(found) == len(wanted) and all(each.is_final for each in found),
            what=f"{len(wanted)} numbers of campaign {campaign_id} are approved or rejected",
            every=every,
            timeout=timeout,
            events=events,
            event="NumberStatusChanged",
            campaign_id=campaign_id,
        )

    def bulk_link(
        self,
        brand_id: str,
        campaign_id: str,
        numbers: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = 32,
        journal: "str | os.PathLike[str] | None" = None,
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: "str | os.PathLike[str] | None" = None,
    ) -> "BulkRun[str, Success]":
        """Link many numbers, none of them twice, and get an outcome for each.

            report = await wavix.ten_dlc.brands.campaigns.numbers.bulk_link(brand_id, campaign_id, numbers)
            decided = await wavix.ten_dlc.brands.campaigns.numbers.wait(brand_id, campaign_id, numbers)

        Nothing is sent until you await the run or iterate over it. Then it sends one request for each number (POST
        /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers/{number}). The key of a result is the number in
        digits. Each number ends as `accepted`, `failed`, `unknown` or `not_sent`. The run never sends a number again
        whose answer is lost: it lists the numbers of the campaign, for all such numbers at once, and reports `accepted`
        for those that are there. The others stay `unknown`, because the API may show a link late.

        Scope `campaigns:write`, and `campaigns:read` for numbers whose answer is lost.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).
            numbers: Phone numbers of the account, with country code, in any usual spelling. A second item of a number
                fails. A collection with a length is checked completely in this call; an invalid item of any other
                iterable gets a `failed` result.
            concurrency: How many requests may be on the wire at once. Default 32.
            journal: A file that makes the run safe against a kill. Call `bulk_link` again with the same numbers and the
                same journal: it links what was not sent, looks for what may have been sent, and returns the report on
                all numbers. Default None: no journal.
            on_progress: Called with a `BulkProgress` about ten times a second, and at the end.
            failures_to: A file for all failures, because the report keeps only the first 1,000: CSV if its name ends in
                `.csv`, otherwise one JSON object per line.

        Returns:
            The run.

        Raises:
            InputError: An id is empty, or a number is no phone number.
            ConfigurationError: `concurrency` is less than 1. When the run starts, before it sends anything:
                `failures_to` cannot be written.
            JournalError: When the run starts, before it sends anything: the journal is in use, damaged or a copy, or
                belongs to other numbers, another campaign, another key or another account.
        """
        # Only the first bulk run loads these modules: most programs do not need them.
        from wavix_async.bulk import BulkRun
        from wavix_async.resources.ten_dlc._bulk_link import linking, pairs_of

        path = {"brand_id": BRAND_ID.check(brand_id), "campaign_id": CAMPAIGN_ID.check(campaign_id)}
        return BulkRun(
            self._client,
            pairs_of(numbers, path),
            operation=linking(LINK, LIST_NUMBERS),
            concurrency=concurrency,
            on_progress=on_progress,
            failures_to=failures_to,
            journal=journal,
        )


class Campaigns(Resource):
    """Campaigns, and their numbers: `/v3/10dlc/brands/{brand_id}/campaigns`."""

    _ids = (BRAND_ID, CAMPAIGN_ID)

    @cached_property
    def numbers(self) -> CampaignNumbers:
        """Phone numbers: `/v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers`."""
        return CampaignNumbers(self._client)

    def list(
        self,
        brand_id: str | UnsetType = UNSET,
        *,
        name: str | None = None,
        usecase: TenDLCUseCase | str | None = None,
        status: TenDLCCampaignStatus | str | None = None,
        mock: bool | None = None,
        created_before: date | str | None = None,
        created_after: date | str | None = None,
        page: int | None = None,
        per_page: int | None = None,
        limit: int | None = None,
    ) -> Paginator[TenDLCCampaignPage, TenDLCCampaign]:
        """List a brand's campaigns (GET /v3/10dlc/brands/{brand_id}/campaigns) or all (GET /v3/10dlc/brands/campaigns).

        `await` gives one page of campaigns, `async for` all of them. Scope `campaigns:read`; it only reads, so the
        client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`); left out: all brands.
            name: A part of the name.
            usecase: The purpose of the messages.
            status: The status.
            mock: True: only campaigns for tests.
            created_before: The last day.
            created_after: The first day.
            page: The first page to read, counted from 1.
            per_page: Records per page, 1 to 100; the API's default is 25, iteration uses 100.
            limit: How many records to read at most; this is not sent to the API.

        Raises:
            InputError: An argument has the wrong type, or is out of range. `brand_id=None` is an error, too.
            NotFoundError: There is no such brand.
        """
        query = TenDLCCampaignList(
            name=name,
            usecase=usecase,
            status=status,
            mock=mock,
            created_before=created_before,
            created_after=created_after,
            page=page,
            per_page=per_page,
            limit=limit,
        )
        if brand_id is UNSET:
            return self._pages(LIST_ALL, query=query)
        return self._pages(LIST, brand_id, query=query)

    @unpack(TenDLCCampaignCreate)
    async def create(self, brand_id: str, campaign: TenDLCCampaignCreate) -> TenDLCCampaign:
        """Register a campaign (POST /v3/10dlc/brands/{brand_id}/campaigns); `wait` tells whether it is approved.

        Scope `campaigns:write`. Three months are charged at once, so it is never sent twice; after an unknown outcome,
        look with `list(brand_id, name=...)`. `brands.usecases.qualify` tells the fee before.

        Args:
            brand_id: A brand that is `VERIFIED` or `VETTED_VERIFIED`.

        Raises:
            InputError: A field has the wrong type.
            BadRequestError: The API rejected a field.
            NotFoundError: There is no such brand.
            UnprocessableEntityError: The account has insufficient funds, or the brand is not verified.
            OutcomeUnknownError: There is no answer, or it does not show the campaign: it may have been registered.
        """
        return await self._call(CREATE, brand_id, body=campaign)

    async def get(self, brand_id: str, campaign_id: str) -> TenDLCCampaign:
        """Read a campaign (GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}).

        Scope `campaigns:read`; it only reads, so the client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).

        Raises:
            NotFoundError: There is no such campaign.
        """
        return await self._call(GET, brand_id, campaign_id)

    @unpack(TenDLCCampaignUpdate)
    async def update(self, brand_id: str, campaign_id: str, changes: TenDLCCampaignUpdate) -> TenDLCCampaign:
        """Change fields of a campaign (PUT /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}).

        The other fields keep their values, although it is a PUT. The use case never changes. Scope `campaigns:write`;
        free. It sets fields to given values, so the client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).

        Raises:
            InputError: No field is set, or a field has the wrong type.
            BadRequestError: The API rejected a field.
            NotFoundError: There is no such campaign.
            OutcomeUnknownError: There is no certain answer, or it shows other values, such as the old use case.
        """
        refuse_empty(changes)
        return await self._call(UPDATE, brand_id, campaign_id, body=changes)

    async def delete(self, brand_id: str, campaign_id: str) -> Success:
        """Delete a campaign (DELETE /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}).

        Its numbers are no sender IDs any more. Scope `campaigns:write`; a second delete changes nothing, so the client
        may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).

        Raises:
            NotFoundError: There is no such campaign.
        """
        return await self._call(DELETE, brand_id, campaign_id)

    @unpack(TenDLCCampaignNudge)
    async def nudge(self, brand_id: str, campaign_id: str, nudge: TenDLCCampaignNudge) -> Success:
        """Ask for a review of a campaign (POST /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/nudge).

        The campaign must be 72 hours old, and can be nudged once in 24 hours. Scope `campaigns:write`; free. It is
        never sent twice.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).

        Raises:
            RateLimitError: The campaign is too young, or was nudged within 24 hours. The client does not wait that out.
            NotFoundError: There is no such campaign.
            OutcomeUnknownError: There is no certain answer: the campaign may have been nudged.
        """
        return await self._call(NUDGE, brand_id, campaign_id, body=nudge)

    async def wait(
        self,
        brand_id: str,
        campaign_id: str,
        *,
        every: tuple[float, float] = (60.0, 1800.0),
        timeout: float | None = 14 * 86_400.0,
        events: EventSource | None = None,
    ) -> TenDLCCampaign:
        """Wait until the registry has decided on a campaign.

        It reads GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id} until it has.

            campaign = await wavix.ten_dlc.brands.campaigns.wait(brand_id, campaign.campaign_id)
            if campaign.status != "APPROVED": print(campaign.status, campaign.feedback)

        With `events=hooks` (`wavix_async.webhooks`), an event of the campaign makes it read at once. The reads are in
        the bulk lane: other calls go first. Scope `campaigns:read`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            campaign_id: The campaign (`TenDLCCampaign.campaign_id`).
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit. Default: 14 days.
            events: What receives webhooks; None: only the reads show a new status.

        Returns:
            The campaign in any status but `REVIEW` and `PENDING`: `APPROVED`, `DECLINED`, `SUSPENDED`, `EXPIRED`,
            `DELETED` or `PORTED_OUT`.

        Raises:
            WaitTimeoutError: The registry has not decided in time; `last` is the campaign as it was read last.
            NotFoundError: There is no such campaign.
        """
        return await wait_until(
            self._client,
            lambda client: Campaigns(client).get(brand_id, campaign_id),
            lambda campaign: campaign.is_final,
            what=f"campaign {campaign_id} is out of review",
            every=every,
            timeout=timeout,
            events=events,
            event="CampaignStatusChanged",
            campaign_id=campaign_id,
        )
