"""10DLC brands: `/v3/10dlc/brands`."""

import asyncio
import builtins
import os
from collections.abc import Callable
from functools import cached_property
from typing import IO, Any, Final, cast

from wavix_async._http import BaseClient, Download, EventSource, Operation
from wavix_async.models.common import Success
from wavix_async.models.ten_dlc.brands import (
    TenDLCBrand,
    TenDLCBrandAppeal,
    TenDLCBrandAppealCreate,
    TenDLCBrandCreate,
    TenDLCBrandEvidence,
    TenDLCBrandList,
    TenDLCBrandPage,
    TenDLCBrandQualificationResult,
    TenDLCBrandUpdate,
    TenDLCBrandVetting,
    TenDLCBrandVettingAppeal,
    TenDLCBrandVettingAppealCreate,
    TenDLCBrandVettingCreate,
    TenDLCBrandVettingImport,
)
from wavix_async.models.ten_dlc.statuses import TenDLCUseCase
from wavix_async.resources._base import Resource, refuse_empty
from wavix_async.resources._ids import TextId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until
from wavix_async.resources.ten_dlc._ids import BRAND_ID
from wavix_async.resources.ten_dlc.campaigns import Campaigns

__all__ = ["BrandAppeals", "BrandEvidence", "BrandUseCases", "BrandVettings", "Brands", "VettingAppeals"]

_READ: Final = "campaigns:read"
_WRITE: Final = "campaigns:write"
_BRANDS: Final = "/v3/10dlc/brands"
_BRAND: Final = f"{_BRANDS}/{{brand_id}}"
# The list of all campaigns has the path that a brand of this name would have.
_RESERVED: Final = ("campaigns",)

LIST: Final = Operation("GET", _BRANDS, TenDLCBrandPage, scope=_READ)
CREATE: Final = Operation("POST", _BRANDS, TenDLCBrand, scope=_WRITE, echoes=("company_name",), proof="brand_id")
GET: Final = Operation("GET", _BRAND, TenDLCBrand, scope=_READ, reserved=_RESERVED)
# An update can cost a fee. The answer may write the tax id, the phone number and the website in another form.
UPDATE: Final = Operation(
    "PUT",
    _BRAND,
    TenDLCBrand,
    scope=_WRITE,
    idempotent=False,
    reserved=_RESERVED,
    applied_late=("ein_taxid", "phone_number", "website"),
)
DELETE: Final = Operation("DELETE", _BRAND, Success, scope=_WRITE, reserved=_RESERVED)

CREATE_APPEAL: Final = Operation("POST", f"{_BRAND}/appeals", Success, scope=_WRITE)
LIST_APPEALS: Final = Operation("GET", f"{_BRAND}/appeals", list[TenDLCBrandAppeal], scope=_READ)

UPLOAD_EVIDENCE: Final = Operation("POST", f"{_BRAND}/evidence", TenDLCBrandEvidence, scope=_WRITE, proof="uuid")
# A bare array until October 2025.
LIST_EVIDENCE: Final = Operation("GET", f"{_BRAND}/evidence", list[TenDLCBrandEvidence], scope=_READ, unwrap="items")
DOWNLOAD_EVIDENCE: Final = Operation("GET", f"{_BRAND}/evidence/{{id}}", Download, scope=_READ)
DELETE_EVIDENCE: Final = Operation("DELETE", f"{_BRAND}/evidence/{{id}}", Success, scope=_WRITE)

CREATE_VETTING: Final = Operation(
    "POST",
    f"{_BRAND}/vettings",
    TenDLCBrandVetting,
    scope=_WRITE,
    echoes=("evp_id", "vetting_class"),
    proof="vetting_id",
)
# An import can cost a fee. The answer may mask the token.
IMPORT_VETTING: Final = Operation(
    "PUT",
    f"{_BRAND}/vettings",
    TenDLCBrandVetting,
    scope=_WRITE,
    idempotent=False,
    echoes=("evp_id", "vetting_id"),
    proof="vetting_id",
)
LIST_VETTINGS: Final = Operation("GET", f"{_BRAND}/vettings", list[TenDLCBrandVetting], scope=_READ)

CREATE_VETTING_APPEAL: Final = Operation("POST", f"{_BRAND}/vettings/appeals", Success, scope=_WRITE)
# One object without a list until May 2026.
_ONE_OR_MANY: Final = cast("Any", list[TenDLCBrandVettingAppeal] | TenDLCBrandVettingAppeal)
LIST_VETTING_APPEALS: Final[Operation[list[TenDLCBrandVettingAppeal] | TenDLCBrandVettingAppeal]] = Operation(
    "GET", f"{_BRAND}/vettings/appeals", _ONE_OR_MANY, scope=_READ
)

QUALIFY: Final = Operation(
    "GET",
    f"{_BRAND}/usecases/{{use_case}}",
    TenDLCBrandQualificationResult,
    scope=_READ,
    answer_id="usecase",
)

_USE_CASE: Final = TextId("use_case", "a TenDLCUseCase, such as '2FA'")


class BrandAppeals(Resource):
    """Appeals against the verification of a brand: `/v3/10dlc/brands/{brand_id}/appeals`."""

    _ids = (BRAND_ID,)

    async def list(self, brand_id: str) -> builtins.list[TenDLCBrandAppeal]:
        """List the appeals of a brand (GET /v3/10dlc/brands/{brand_id}/appeals); there are no pages.

        Scope `campaigns:read`; it only reads, so the client may repeat it.

        Raises:
            NotFoundError: There is no such brand.
        """
        return await self._call(LIST_APPEALS, brand_id)

    @unpack(TenDLCBrandAppealCreate)
    async def create(self, brand_id: str, appeal: TenDLCBrandAppealCreate) -> Success:
        """Appeal against the verification of a brand (POST /v3/10dlc/brands/{brand_id}/appeals).

        Upload evidence first. Scope `campaigns:write`. An appeal can cost a fee, so it is never sent twice; after an
        unknown outcome, look with `list`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).

        Raises:
            NotFoundError: There is no such brand.
            UnprocessableEntityError: The status of the brand does not allow such an appeal.
            OutcomeUnknownError: There is no certain answer: the appeal may have been made.
        """
        return await self._call(CREATE_APPEAL, brand_id, body=appeal)


class BrandEvidence(Resource):
    """Files that support the appeals of a brand: `/v3/10dlc/brands/{brand_id}/evidence`."""

    _ids = (BRAND_ID, TextId("evidence_id", "TenDLCBrandEvidence.uuid"))

    async def upload(
        self,
        brand_id: str,
        *,
        file: "str | os.PathLike[str] | bytes | IO[bytes]",
        filename: str | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> TenDLCBrandEvidence:
        """Upload a file (POST /v3/10dlc/brands/{brand_id}/evidence).

        Scope `campaigns:write`; free. A second upload would make a copy, so it is sent once; after an unknown outcome,
        look with `list`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            file: A path, the bytes, or a file object open for reading bytes; at most 10 MB. The API takes JPG, PNG, PDF
                and other types.
            filename: The name to show; needed with bytes, and with a file object that has no name.
            progress: Called with the bytes of a path that were sent so far, and its size.

        Returns:
            The evidence; an appeal takes its `uuid`.

        Raises:
            InputError: The file is missing, empty or too large.
            NotFoundError: There is no such brand.
            OutcomeUnknownError: The connection broke, or the answer shows no evidence: it may have been uploaded.
        """
        BRAND_ID.check(brand_id)
        from wavix_async.resources._uploads import file_part

        part = await asyncio.to_thread(file_part, "file", file, filename, progress=progress)
        return await self._call(UPLOAD_EVIDENCE, brand_id, parts=(part,))

    async def list(self, brand_id: str) -> builtins.list[TenDLCBrandEvidence]:
        """List the files of a brand (GET /v3/10dlc/brands/{brand_id}/evidence); there are no pages.

        Scope `campaigns:read`; it only reads, so the client may repeat it.

        Raises:
            NotFoundError: There is no such brand.
        """
        return await self._call(LIST_EVIDENCE, brand_id)

    def download(self, brand_id: str, evidence_id: str) -> Download:
        """Download a file (GET /v3/10dlc/brands/{brand_id}/evidence/{id}).

            saved = await wavix.ten_dlc.brands.evidence.download(brand_id, evidence.uuid).save("register.pdf")

        Nothing is sent until you use the download: `await` it for the bytes, `save` it, or read it piece by piece. The
        client follows a redirect to where the file is, without the key. Scope `campaigns:read`; it only reads, so the
        client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            evidence_id: The file (`TenDLCBrandEvidence.uuid`).
        """
        return self._download(DOWNLOAD_EVIDENCE, brand_id, evidence_id)

    async def delete(self, brand_id: str, evidence_id: str) -> Success:
        """Delete a file for good (DELETE /v3/10dlc/brands/{brand_id}/evidence/{id}).

        Scope `campaigns:write`; a second delete changes nothing, so the client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            evidence_id: The file (`TenDLCBrandEvidence.uuid`).

        Raises:
            NotFoundError: There is no such brand or file.
        """
        return await self._call(DELETE_EVIDENCE, brand_id, evidence_id)


class VettingAppeals(Resource):
    """Appeals against vettings: `/v3/10dlc/brands/{brand_id}/vettings/appeals`."""

    _ids = (BRAND_ID,)

    async def list(self, brand_id: str) -> builtins.list[TenDLCBrandVettingAppeal]:
        """List the appeals against the vettings of a brand (GET /v3/10dlc/brands/{brand_id}/vettings/appeals).

        There are no pages. Scope `campaigns:read`; it only reads, so the client may repeat it.

        Raises:
            NotFoundError: There is no such brand.
        """
        found = await self._call(LIST_VETTING_APPEALS, brand_id)
        return found if isinstance(found, builtins.list) else [found]

    @unpack(TenDLCBrandVettingAppealCreate)
    async def create(self, brand_id: str, appeal: TenDLCBrandVettingAppealCreate) -> Success:
        """Appeal against a vetting (POST /v3/10dlc/brands/{brand_id}/vettings/appeals).

        Scope `campaigns:write`. An appeal can cost a fee, so it is never sent twice; after an unknown outcome, look
        with `list`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).

        Raises:
            NotFoundError: There is no such brand.
            UnprocessableEntityError: The status of the brand does not allow such an appeal: `VERIFY_TAX_ID` is not for
                a brand that is `VETTED_VERIFIED`.
            OutcomeUnknownError: There is no certain answer: the appeal may have been made.
        """
        return await self._call(CREATE_VETTING_APPEAL, brand_id, body=appeal)


class BrandVettings(Resource):
    """Vettings of a brand by external providers: `/v3/10dlc/brands/{brand_id}/vettings`."""

    _ids = (BRAND_ID,)

    @cached_property
    def appeals(self) -> VettingAppeals:
        """Appeals against vettings: `/v3/10dlc/brands/{brand_id}/vettings/appeals`."""
        return VettingAppeals(self._client)

    async def list(self, brand_id: str) -> builtins.list[TenDLCBrandVetting]:
        """List the vettings of a brand (GET /v3/10dlc/brands/{brand_id}/vettings); there are no pages.

        Scope `campaigns:read`; it only reads, so the client may repeat it.

        Raises:
            NotFoundError: There is no such brand.
        """
        return await self._call(LIST_VETTINGS, brand_id)

    @unpack(TenDLCBrandVettingCreate)
    async def create(self, brand_id: str, vetting: TenDLCBrandVettingCreate) -> TenDLCBrandVetting:
        """Request a vetting (POST /v3/10dlc/brands/{brand_id}/vettings); `wait` tells how it ends.

        Scope `campaigns:write`. It costs a fee, so it is never sent twice; after an unknown outcome, look with `list`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).

        Raises:
            NotFoundError: There is no such brand.
            UnprocessableEntityError: The account has insufficient funds, or the brand cannot be vetted.
            OutcomeUnknownError: There is no answer, or it does not show the vetting: it may have been requested.
        """
        return await self._call(CREATE_VETTING, brand_id, body=vetting)

    @unpack(TenDLCBrandVettingImport)
    async def import_(self, brand_id: str, vetting: TenDLCBrandVettingImport) -> TenDLCBrandVetting:
        """Import a vetting that exists at the provider (PUT /v3/10dlc/brands/{brand_id}/vettings).

        Scope `campaigns:write`. It can cost a fee, so it is never sent twice, although it is a PUT; after an unknown
        outcome, look with `list`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).

        Raises:
            NotFoundError: There is no such brand.
            UnprocessableEntityError: The provider knows no such vetting, or the token is wrong.
            OutcomeUnknownError: There is no answer, or it does not show the vetting: it may have been imported.
        """
        return await self._call(IMPORT_VETTING, brand_id, body=vetting)

    async def wait(
        self,
        brand_id: str,
        vetting_id: str,
        *,
        every: tuple[float, float] = (60.0, 1800.0),
        timeout: float | None = 3 * 86_400.0,
        events: EventSource | None = None,
    ) -> TenDLCBrandVetting:
        """Wait until a vetting is finished (GET /v3/10dlc/brands/{brand_id}/vettings until it is).

        A vetting that the list does not show yet counts as pending. The reads are in the bulk lane: other calls go
        first. Scope `campaigns:read`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            vetting_id: The vetting (`TenDLCBrandVetting.vetting_id`).
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit. Default: three days.
            events: What receives webhooks: a vetting may change the brand's status, which makes it read at once. None:
                only the reads show the end.

        Returns:
            The vetting: `ACTIVE` with its score, or in another status.

        Raises:
            WaitTimeoutError: The vetting is not finished in time; `last` is the vetting as it was read last, or None.
            NotFoundError: There is no such brand.
        """

        async def read(client: BaseClient) -> TenDLCBrandVetting | None:
            vettings = await BrandVettings(client).list(brand_id)
            return next((each for each in vettings if each.vetting_id == vetting_id), None)

        found = await wait_until(
            self._client,
            read,
            lambda vetting: vetting is not None and vetting.is_final,
            what=f"vetting {vetting_id} is finished",
            every=every,
            timeout=timeout,
            events=events,
            event="BrandStatusChanged",
            brand_id=brand_id,
        )
        return cast("TenDLCBrandVetting", found)


class BrandUseCases(Resource):
    """What a brand may send: `/v3/10dlc/brands/{brand_id}/usecases`."""

    _ids = (BRAND_ID, _USE_CASE)

    async def qualify(self, brand_id: str, use_case: TenDLCUseCase | str) -> TenDLCBrandQualificationResult:
        """Look up whether a brand qualifies for a use case (GET /v3/10dlc/brands/{brand_id}/usecases/{use_case}).

        Ask before you register a campaign: the answer has the fee, and what each operator demands. Scope
        `campaigns:read`; it only reads, so the client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            use_case: The use case, such as `TenDLCUseCase.MARKETING` or `"2FA"`.

        Raises:
            NotFoundError: There is no such brand.
            UnprocessableEntityError: The brand has no score yet: try again later.
        """
        return await self._call(QUALIFY, brand_id, TenDLCUseCase(_USE_CASE.check(use_case)).value)


class Brands(Resource):
    """Brands, and what belongs to them: `/v3/10dlc/brands`."""

    _ids = (BRAND_ID,)

    @cached_property
    def appeals(self) -> BrandAppeals:
        """Appeals against the verification of a brand: `/v3/10dlc/brands/{brand_id}/appeals`."""
        return BrandAppeals(self._client)

    @cached_property
    def campaigns(self) -> Campaigns:
        """Campaigns, and their numbers: `/v3/10dlc/brands/{brand_id}/campaigns`."""
        return Campaigns(self._client)

    @cached_property
    def evidence(self) -> BrandEvidence:
        """Files that support appeals: `/v3/10dlc/brands/{brand_id}/evidence`."""
        return BrandEvidence(self._client)

    @cached_property
    def usecases(self) -> BrandUseCases:
        """What a brand may send: `/v3/10dlc/brands/{brand_id}/usecases`."""
        return BrandUseCases(self._client)

    @cached_property
    def vettings(self) -> BrandVettings:
        """Vettings by external providers: `/v3/10dlc/brands/{brand_id}/vettings`."""
        return BrandVettings(self._client)

    @unpack(TenDLCBrandList)
    def list(self, query: TenDLCBrandList) -> Paginator[TenDLCBrandPage, TenDLCBrand]:
        """List the brands (GET /v3/10dlc/brands): `await` gives one page, `async for` all of them.

        Scope `campaigns:read`; it only reads, so the client may repeat it.
        """
        return self._pages(LIST, query=query)

    @unpack(TenDLCBrandCreate)
    async def create(self, brand: TenDLCBrandCreate) -> TenDLCBrand:
        """Register a brand (POST /v3/10dlc/brands); `wait` tells whether it is verified.

        Scope `campaigns:write`. The registration costs a fee, so it is never sent twice; after an unknown outcome, look
        with `list(ein_taxid=...)`.

        Raises:
            InputError: A field has the wrong type, or a stock field is set for a company that is not listed.
            BadRequestError: The API rejected a field.
            UnprocessableEntityError: The account has insufficient funds.
            OutcomeUnknownError: There is no answer, or it does not show the brand: it may have been registered.
        """
        return await self._call(CREATE, body=brand)

    async def get(self, brand_id: str) -> TenDLCBrand:
        """Read a brand (GET /v3/10dlc/brands/{brand_id}).

        Scope `campaigns:read`; it only reads, so the client may repeat it.

        Raises:
            NotFoundError: There is no such brand.
        """
        return await self._call(GET, brand_id)

    @unpack(TenDLCBrandUpdate)
    async def update(self, brand_id: str, changes: TenDLCBrandUpdate) -> TenDLCBrand:
        """Change fields of a brand (PUT /v3/10dlc/brands/{brand_id}); the others keep their values.

        A new company name, tax id, tax country or entity type makes the registry verify the brand again: `wait` tells
        the result. Scope `campaigns:write`. An update can cost a fee, so it is never sent twice, although it is a PUT;
        after an unknown outcome, read the brand.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).

        Raises:
            InputError: No field is set, or a field has the wrong type.
            NotFoundError: There is no such brand.
            UnprocessableEntityError: A value is invalid, or the brand is in review, is `VETTED_VERIFIED`, or has active
                campaigns.
            OutcomeUnknownError: There is no answer, or it shows other values: the brand may have been changed.
        """
        refuse_empty(changes)
        return await self._call(UPDATE, brand_id, body=changes)

    async def delete(self, brand_id: str) -> Success:
        """Delete a brand without active campaigns (DELETE /v3/10dlc/brands/{brand_id}).

        Scope `campaigns:write`; a second delete changes nothing, so the client may repeat it.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).

        Raises:
            NotFoundError: There is no such brand.
            APIError: The brand has active campaigns.
        """
        return await self._call(DELETE, brand_id)

    async def wait(
        self,
        brand_id: str,
        *,
        every: tuple[float, float] = (30.0, 900.0),
        timeout: float | None = 2 * 86_400.0,
        events: EventSource | None = None,
    ) -> TenDLCBrand:
        """Wait until the registry has decided on a brand (GET /v3/10dlc/brands/{brand_id} until it has).

            brand = await wavix.ten_dlc.brands.wait(brand.brand_id)
            if not brand.is_verified: print(brand.status, brand.feedback)

        With `events=hooks` (`wavix_async.webhooks`), an event of the brand makes it read at once. The reads are in the
        bulk lane: other calls go first. Scope `campaigns:read`.

        Args:
            brand_id: The brand (`TenDLCBrand.brand_id`).
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit. Default: two days.
            events: What receives webhooks; None: only the reads show a new status.

        Returns:
            The brand in any status but `REVIEW`: `VERIFIED`, `VETTED_VERIFIED`, `UNVERIFIED` or `SUSPENDED`.

        Raises:
            WaitTimeoutError: The registry has not decided in time; `last` is the brand as it was read last.
            NotFoundError: There is no such brand.
        """
        return await wait_until(
            self._client,
            lambda client: Brands(client).get(brand_id),
            lambda brand: brand.is_final,
            what=f"brand {brand_id} is out of review",
            every=every,
            timeout=timeout,
            events=events,
            event="BrandStatusChanged",
            brand_id=brand_id,
        )
