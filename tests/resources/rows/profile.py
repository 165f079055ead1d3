"""The operations of `wavix.profile`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import Row

PROFILE: Final = {
    "id": 1,
    "email": "info@example.com",
    "first_name": "Jason",
    "last_name": None,
    "phone": "+12025550123",
    "additional_info": None,
    "contact_email": "billing@example.com",
    "timezone": "Europe/Madrid",
    "job_title": "Manager",
    "default_short_link_endpoint": None,
    "default_destinations": [{"transport": "sms", "value": "https://example.com/sms"}],
    "company_info": {
        "name": "Acme",
        "industry": "telecommunications",
        "address": "Baker Street 1",
        "attn_contact_name": "James Scott",
        "vat_number": None,
        "country": {"country_name": "Spain", "country_id": 34},
    },
}

LIMITS: Final = {"max_call_duration": 3600, "max_sip_channels": 8, "max_call_rate": "99.0"}

ROWS: Final = [
    Row(lambda w: w.profile.get(), "GET /v1/profile", PROFILE),
    Row(
        lambda w: w.profile.update(
            first_name="Jason",
            phone="+1 202 555 0123",
            contacts="billing@example.com",
            time_zone="Europe/Madrid",
            sms_relay_url="https://example.com/sms",
            company_info={"industry": "telecommunications", "billing_address": "Baker Street 1", "country_code": "ES"},
        ),
        "PUT /v1/profile",
        PROFILE,
        body={
            "first_name": "Jason",
            "phone": "+1 202 555 0123",
            "contacts": "billing@example.com",
            "time_zone": "Europe/Madrid",
            "sms_relay_url": "https://example.com/sms",
            "company_info": {
                "industry": "telecommunications",
                "billing_address": "Baker Street 1",
                "country_code": "ES",
            },
        },
    ),
    Row(
        lambda w: w.profile.config.get(),
        "GET /v1/profile/config",
        {
            "balance": "309.06",
            "global_limits": {"max_call_duration": 3600, "max_sip_channels": 8, "max_call_rate": "9"},
        },
    ),
]
