"""Short links and their clicks: `/v1/short-links`."""

from functools import cached_property
from typing import Final

from wavix_async._http import Operation
from wavix_async.models.short_links import (
    ShortLink,
    ShortLinkCreate,
    ShortLinkMetricsItem,
    ShortLinkMetricsList,
    ShortLinkMetricsPage,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack

__all__ = ["ShortLinkMetrics", "ShortLinks"]

CREATE: Final = Operation("POST", "/v1/short-links", ShortLink, scope="campaigns:write", proof="short_link")
METRICS: Final = Operation("GET", "/v1/short-links/metrics", ShortLinkMetricsPage, scope="campaigns:read")


class ShortLinkMetrics(Resource):
    """Clicks on short links: `/v1/short-links/metrics`."""

    @unpack(ShortLinkMetricsList)
    def list(self, query: ShortLinkMetricsList) -> Paginator[ShortLinkMetricsPage, ShortLinkMetricsItem]:
        """List the clicks of some days (GET /v1/short-links/metrics): `await` gives one page, `async for` all.

        Scope `campaigns:read`; it only reads, so the client may repeat it.
        """
        return self._pages(METRICS, query=query)


class ShortLinks(Resource):
    """Short links: `/v1/short-links`."""

    @cached_property
    def metrics(self) -> ShortLinkMetrics:
        """Clicks on short links."""
        return ShortLinkMetrics(self._client)

    @unpack(ShortLinkCreate)
    async def create(self, link: ShortLinkCreate) -> ShortLink:
        """Make a short link (POST /v1/short-links). It costs money, so it is never sent twice.

        No operation lists the links: one whose answer is lost is lost. Scope `campaigns:write`.

        Raises:
            InputError: A field has the wrong type, or a URL is not https.
            OutcomeUnknownError: There is no answer, or it does not show the link.
        """
        return await self._call(CREATE, body=link)
