"""Where 10DLC events are posted: `/v3/10dlc/subscriptions`."""

import builtins
from typing import Final

from wavix_async._http import Operation
from wavix_async.models.common import Success
from wavix_async.models.ten_dlc.brands import TenDLCEventSubscription, TenDLCEventSubscriptionCreate
from wavix_async.models.ten_dlc.statuses import SubscriptionCategory
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._unpack import unpack

__all__ = ["Subscriptions"]

LIST: Final = Operation("GET", "/v3/10dlc/subscriptions", list[TenDLCEventSubscription], scope="campaigns:read")
CREATE: Final = Operation(
    "POST",
    "/v3/10dlc/subscriptions",
    TenDLCEventSubscription,
    scope="campaigns:write",
    echoes=("subscription_category",),
    proof="url",
)
DELETE: Final = Operation("DELETE", "/v3/10dlc/subscriptions", Success, scope="campaigns:write")

_CATEGORY: Final = TextId("subscription_category", "'brand', 'campaign' or 'number'")


class Subscriptions(Resource):
    """Where 10DLC events are posted: `/v3/10dlc/subscriptions`."""

    async def list(self) -> builtins.list[TenDLCEventSubscription]:
        """List the subscriptions (GET /v3/10dlc/subscriptions); there are no pages.

        Scope `campaigns:read`; it only reads, so the client may repeat it.
        """
        return await self._call(LIST)

    @unpack(TenDLCEventSubscriptionCreate)
    async def create(self, subscription: TenDLCEventSubscriptionCreate) -> TenDLCEventSubscription:
        """Post the events of a category to a URL (POST /v3/10dlc/subscriptions).

        `wavix_async.webhooks` receives them. The documentation does not say whether a second subscription of a category
        replaces the first, so the client sends it once; after an unknown outcome, look with `list`. Scope
        `campaigns:write`; free.

        Raises:
            InputError: A field has the wrong type, or the URL is not an http or https URL.
            OutcomeUnknownError: There is no answer, or it does not show the subscription.
        """
        return await self._call(CREATE, body=subscription)

    async def delete(self, subscription_category: SubscriptionCategory | str) -> Success:
        """Post no more events of a category (DELETE /v3/10dlc/subscriptions).

        Scope `campaigns:write`; a second delete changes nothing, so the client may repeat it.

        Args:
            subscription_category: `brand`, `campaign` or `number`.

        Raises:
            InputError: The category is empty or not a string.
            APIError: The API knows no such subscription.
        """
        category = SubscriptionCategory(_CATEGORY.check(subscription_category))
        return await self._call(DELETE, query={"subscription_category": category.value})
