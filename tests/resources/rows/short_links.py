"""The operations of `wavix.short_links`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from tests.resources.rows.row import PAGE, Row

CLICK: Final = {
    "latitude": 59.3247,
    "longitude": 18.056,
    "operating_system": "Mac OS X 10.15",
    "browser": "Firefox",
    "language": "English",
    "phone": "12762025555",
    "utm_campaign": "summer",
    "created_at": "2023-07-19 18:23:42.120Z",
    "link_hash": "hd82Jhs21",
    "user_id": 100017,
}

ROWS: Final = [
    Row(
        lambda w: w.short_links.create(
            link="https://shop.example.com/sale",
            expiration_time=datetime(2023, 7, 19, 18, 18, 34, tzinfo=UTC),
            fallback_url="https://shop.example.com/late",
            phone="+1 (515) 598-2927",
            utm_campaign="summer",
        ),
        "POST /v1/short-links",
        {"short_link": "https://wx.com/hd82Jhs21"},
        body={
            "link": "https://shop.example.com/sale",
            "expiration_time": "2023-07-19T18:18:34.000Z",
            "fallback_url": "https://shop.example.com/late",
            "phone": "15155982927",
            "utm_campaign": "summer",
        },
    ),
    Row(
        lambda w: w.short_links.metrics.list(
            from_=date(2023, 7, 1), to="2023-07-31", phone="+1 276 202 5555", utm_campaign="summer", page=2
        ),
        "GET /v1/short-links/metrics",
        {"metrics": [CLICK], "pagination": PAGE},
        query={
            "from": "2023-07-01",
            "to": "2023-07-31",
            "phone": "12762025555",
            "utm_campaign": "summer",
            "page": "2",
        },
    ),
]
