"""10DLC: `/v3/10dlc`."""

from functools import cached_property

from wavix_async.resources._base import Resource
from wavix_async.resources.ten_dlc.brands import Brands
from wavix_async.resources.ten_dlc.subscriptions import Subscriptions

__all__ = ["TenDLC"]


class TenDLC(Resource):
    """10DLC, the registration of senders in the US: `/v3/10dlc`.

    A brand is the business, a campaign says what its messages are for, and a phone number that is linked to an approved
    campaign can send them.
    """

    @cached_property
    def brands(self) -> Brands:
        """Brands, and what belongs to them: `/v3/10dlc/brands`."""
        return Brands(self._client)

    @cached_property
    def subscriptions(self) -> Subscriptions:
        """Where events are posted: `/v3/10dlc/subscriptions`."""
        return Subscriptions(self._client)
