"""The response that all benchmarks use: a phone number with a value in every field of the API's schema."""

from __future__ import annotations

from typing import Any

CHANGE: dict[str, Any] = {"sms_enabled": True, "transcription_threshold": 30}


def number(number_id: int) -> dict[str, Any]:
    return {
        "id": number_id,
        "number": "12565378257",
        "activation_fee": "0.99",
        "monthly_fee": "0.99",
        "per_min": "0.01",
        "city": "DETROIT, MI",
        "state": "MI",
        "country": "United States",
        "country_short_name": "US",
        "destination": [
            {
                "id": 1,
                "destination": "[did]@sipuri.com",
                "priority": 1,
                "transport": 5,
                "trunk_id": 23123,
                "srtp": False,
                "trunk_label": "My trunk",
            }
        ],
        "channels": 24,
        "require_docs": ["address"],
        "documents": [
            {
                "id": 423,
                "allow_replace": False,
                "did_number": "12565378257",
                "doc_content_type": "image/png",
                "doc_file_name": "Copy of ID.png",
                "doc_type_id": 1,
                "doc_type": "id",
                "status": "approved",
                "url": "https://api.wavix.com/v1/numbers/24882/papers/1",
            }
        ],
        "domestic_cli": True,
        "free_min": 123,
        "unlimited": True,
        "label": "support",
        "status": "active",
        "seconds": "1234",
        "added": "2023-04-10T06:42:59.000Z",
        "paid_until": "2023-12-07",
        "sms_enabled": True,
        "sms_relay_url": "https://your-website.com/webhook",
        "cnam": True,
        "call_recording_enabled": True,
        "transcription_enabled": True,
        "transcription_threshold": 30,
        "call_status_url": "https://example.com",
    }


def page(size: int = 100) -> dict[str, Any]:
    return {
        "items": [number(1_000_000 + place) for place in range(size)],
        "doc_types": [{"id": 2, "name": "address", "title": "Proof of address"}],
        "pagination": {"current_page": 1, "per_page": size, "total": size, "total_pages": 1},
    }
