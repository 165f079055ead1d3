"""Sub-organizations (sub-accounts): `/v1/sub-organizations`."""

from functools import cached_property
from typing import Any, Final

import attrs

from wavix_async._http import Operation
from wavix_async.errors import InputError
from wavix_async.models.billing import FinancialTransaction, TransactionPage
from wavix_async.models.sub_organizations import (
    DefaultDestinations,
    SubOrganization,
    SubOrganizationCreate,
    SubOrganizationList,
    SubOrganizationPage,
    SubOrganizationTransactionList,
    SubOrganizationUpdate,
)
from wavix_async.resources._base import Resource, refuse_empty
from wavix_async.resources._edits import merged
from wavix_async.resources._ids import IntId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack
from wavix_async.types import UNSET

__all__ = ["SubOrganizationBilling", "SubOrganizationTransactions", "SubOrganizations"]

LIST: Final = Operation("GET", "/v1/sub-organizations", SubOrganizationPage, scope="subaccounts:read")
CREATE: Final = Operation("POST", "/v1/sub-organizations", SubOrganization, scope="subaccounts:write", proof="id")
GET: Final = Operation("GET", "/v1/sub-organizations/{id}", SubOrganization, scope="subaccounts:read")
UPDATE: Final = Operation("PUT", "/v1/sub-organizations/{id}", SubOrganization, scope="subaccounts:write")
LIST_TRANSACTIONS: Final = Operation(
    "GET", "/v1/sub-organizations/{id}/billing/transactions", TransactionPage, scope="subaccounts:read"
)

_ID: Final = IntId("sub_organization_id", "SubOrganization.id")


class SubOrganizationTransactions(Resource):
    """The transactions of a sub-organization: `/v1/sub-organizations/{id}/billing/transactions`."""

    _ids = (_ID,)

    @unpack(SubOrganizationTransactionList)
    def list(
        self, sub_organization_id: int, query: SubOrganizationTransactionList
    ) -> Paginator[TransactionPage, FinancialTransaction]:
        """List transactions (GET /v1/sub-organizations/{id}/billing/transactions): `await` one page, `async for` all.

        They have neither `id` nor `show_invoice`. Scope `subaccounts:read`; it only reads, so the client may repeat it.

        Args:
            sub_organization_id: The sub-organization's id.

        Raises:
            InputError: A filter has the wrong type, or is out of range.
            NotFoundError: There is no such sub-organization.
        """
        return self._pages(LIST_TRANSACTIONS, sub_organization_id, query=query)


class SubOrganizationBilling(Resource):
    """What sub-organizations pay: `/v1/sub-organizations/{id}/billing`."""

    @cached_property
    def transactions(self) -> SubOrganizationTransactions:
        """The transactions of a sub-organization: `/v1/sub-organizations/{id}/billing/transactions`."""
        return SubOrganizationTransactions(self._client)


class SubOrganizations(Resource):
    """Sub-organizations (sub-accounts): `/v1/sub-organizations`."""

    _ids = (_ID,)

    @cached_property
    def billing(self) -> SubOrganizationBilling:
        """What sub-organizations pay: `/v1/sub-organizations/{id}/billing`."""
        return SubOrganizationBilling(self._client)

    @unpack(SubOrganizationList)
    def list(self, query: SubOrganizationList) -> Paginator[SubOrganizationPage, SubOrganization]:
        """List the sub-organizations (GET /v1/sub-organizations): `await` gives one page, `async for` all of them.

        Every item has its API key. Scope `subaccounts:read`; it only reads, so the client may repeat it.
        """
        return self._pages(LIST, query=query)

    @unpack(SubOrganizationCreate)
    async def create(self, sub_organization: SubOrganizationCreate) -> SubOrganization:
        """Create a sub-organization with an API key of its own (POST /v1/sub-organizations).

        Scope `subaccounts:write`. A second request would make a second one, so the client sends it once; after an
        unknown outcome, look for the name in `list`.

        Raises:
            InputError: A field has the wrong type.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: There is no answer, or it does not show the sub-organization's id.
        """
        return await self._call(CREATE, body=sub_organization)

    async def get(self, sub_organization_id: int) -> SubOrganization:
        """Read a sub-organization, its API key included (GET /v1/sub-organizations/{id}).

        Scope `subaccounts:read`; it only reads, so the client may repeat it.

        Args:
            sub_organization_id: The sub-organization's id.

        Raises:
            NotFoundError: There is no such sub-organization.
        """
        return await self._call(GET, sub_organization_id)

    @unpack(SubOrganizationUpdate)
    async def update(self, sub_organization_id: int, settings: SubOrganizationUpdate) -> SubOrganization:
        """Replace all settings of a sub-organization (PUT /v1/sub-organizations/{id}).

        **A field that you leave out gets the API's default, whatever it was**: without `status`, a suspended
        sub-organization may come back enabled. `edit` keeps what you leave out. Scope `subaccounts:write`; it is
        idempotent.

        Args:
            sub_organization_id: The sub-organization's id.

        Raises:
            InputError: A field has the wrong type, or none is given.
            NotFoundError: There is no such sub-organization.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: The answer shows other settings.
        """
        refuse_empty(settings)
        return await self._call(UPDATE, sub_organization_id, body=settings)

    @unpack(SubOrganizationUpdate)
    async def edit(self, sub_organization_id: int, changes: SubOrganizationUpdate) -> SubOrganization:
        """Change some settings of a sub-organization: read them, and write them back with the changes.

            await wavix.sub_organizations.edit(123, status="disabled")

        It reads with GET /v1/sub-organizations/{id} and writes with PUT /v1/sub-organizations/{id}; scopes
        `subaccounts:read` and `subaccounts:write`. Both are idempotent. An endpoint that you leave out of
        `default_destinations` is kept, and one that you set to an empty text is removed.

        **Two edits at once can undo each other**: the API has no version that a write could ask for. What another
        program changes between the read and the write of this one is lost, without an error. Let only one program edit
        a sub-organization at a time. A setting that this version of the package does not know is not kept either.

        Args:
            sub_organization_id: The sub-organization's id.

        Raises:
            InputError: A field has the wrong type, or none is given, or the API did not show a setting.
            NotFoundError: There is no such sub-organization.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: The answer to the write shows other settings.
        """
        refuse_empty(changes)
        found = await self.get(sub_organization_id)
        _refuse_unreadable(found)
        endpoints: dict[str, Any] = {
            name: getattr(found.default_destinations, name, None) for name in ("sms_endpoint", "dlr_endpoint")
        }
        if changes.default_destinations:
            endpoints |= changes.default_destinations
        # The API shows an endpoint that is not set as an empty text, and takes only URLs.
        destinations = {name: url for name, url in endpoints.items() if url} or UNSET
        changes = attrs.evolve(changes, default_destinations=destinations)
        settings = merged(SubOrganizationUpdate, found, {"default_destinations": None}, changes)
        return await self._call(UPDATE, sub_organization_id, body=settings)


def _refuse_unreadable(found: SubOrganization) -> None:
    """Refuse to write without endpoints that the API showed in a form that is not known."""
    destinations: object = found.default_destinations
    if destinations is not None and not isinstance(destinations, DefaultDestinations):
        raise InputError(
            "The API does not show default_destinations of this SubOrganization in a form that can be written back: "
            "use update, and pass all settings."
        )
