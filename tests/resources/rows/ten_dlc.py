"""The operations of `wavix.ten_dlc`."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from tests.resources.rows.row import PAGE, Row

BRAND_ID: Final = "BM20QP9"
CAMPAIGN_ID: Final = "CKLCK95"
EVIDENCE_ID: Final = "191eb205-8357-4d71-b8da-160a25a000d7"
VETTING_ID: Final = "13d8e00c-3cb4-4dc0-9e26-d5057fa938d9"
BRANDS: Final = "/v3/10dlc/brands"
BRAND_PATH: Final = f"{BRANDS}/{BRAND_ID}"
CAMPAIGN_PATH: Final = f"{BRAND_PATH}/campaigns/{CAMPAIGN_ID}"

NEW_BRAND: Final[dict[str, Any]] = {
    "dba_name": "Acme",
    "company_name": "Acme Inc.",
    "entity_type": "PRIVATE_PROFIT",
    "vertical": "RETAIL",
    "ein_taxid": "999999999",
    "ein_taxid_country": "US",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "phone_number": "12125550143",
    "email": "ada@example.com",
    "street_address": "10, Main Street",
    "city": "Miami",
    "country": "US",
    "zip": "12345",
}
BRAND: Final[dict[str, Any]] = {
    **NEW_BRAND,
    "brand_id": BRAND_ID,
    "status": "VERIFIED",
    "website": None,
    "stock_symbol": None,
    "stock_exchange": None,
    "state_or_province": "FL",
    "feedback": None,
    "mock": False,
    "created_at": "2024-07-24T08:10:49",
    "updated_at": "2024-07-24T08:10:49",
}
NEW_CAMPAIGN: Final[dict[str, Any]] = {
    "name": "Codes",
    "usecase": "2FA",
    "description": "Codes that customers need to sign in to their account in our shop.",
    "embedded_links": False,
    "age_gated": False,
    "direct_lending": False,
    "optin": True,
    "optin_workflow": "Customers tick a box at the checkout of our shop to get codes.",
    "optin_keywords": "start",
    "optin_message": "You get codes from Acme now. Reply STOP to end this.",
    "optout": True,
    "optout_keywords": "stop,quit",
    "optout_message": "You get no more messages from Acme.",
    "help": True,
    "help_keywords": "help",
    "help_message": "For help write to ada@example.com.",
    "sample1": "Your code for Acme is 123456.",
    "auto_renewal": True,
    "terms_conditions": "https://example.com/terms",
}
CAMPAIGN: Final[dict[str, Any]] = {
    **NEW_CAMPAIGN,
    "campaign_id": CAMPAIGN_ID,
    "brand_id": BRAND_ID,
    "status": "APPROVED",
    "feedback": None,
    "phone_numbers": ["14358684439"],
    "monthly_fee": "10.0",
    "last_bill_date": "2024-08-14T11:57:42",
    "next_bill_date": None,
    "mock": False,
    "affiliate_marketing": False,
    "embedded_link_sample": None,
    "embedded_phones": False,
    "sample2": None,
    "sample3": None,
    "sample4": None,
    "sample5": None,
    "privacy_policy": None,
    "created_at": "2024-08-14T11:57:41",
    "updated_at": "2024-08-14T11:57:47",
}
EVIDENCE: Final = {
    "uuid": EVIDENCE_ID,
    "file_name": "register.pdf",
    "mime_type": "application/pdf",
    "url": f"https://api.wavix.com{BRAND_PATH}/evidence/{EVIDENCE_ID}",
}
APPEAL: Final[dict[str, Any]] = {
    "categories": ["VERIFY_TAX_ID"],
    "status": "COMPLETED",
    "explanation": "Please look at the register",
    "evidence": [EVIDENCE_ID],
    "outcome": {
        "optional_attributes": {},
        "vetting_status": "UNVERIFIED",
        "feedback": {
            "category": [
                {
                    "id": "VERIFY_TAX_ID",
                    "display_name": "Verify tax ID",
                    "description": "The tax id does not match",
                    "fields": ["ein"],
                    "errors": [{"code": "TFTI01", "message": "The submitted US EIN is invalid."}],
                }
            ]
        },
    },
    "created_at": "2024-08-01T14:09:43",
    "updated_at": "2024-08-01T18:33:15Z",
}
VETTING: Final[dict[str, Any]] = {
    "evp_id": "AEGIS",
    "create_date": "2024-08-01T14:09:43",
    "vetting_details": {"prop": {}},
    "vetted_date": None,
    "vetting_id": VETTING_ID,
    "vetting_token": None,
    "vetting_score": None,
    "vetting_class": "STANDARD",
    "vetting_status": "PENDING",
    "reasons": None,
}
VETTING_APPEAL: Final[dict[str, Any]] = {
    "appeal_outcome": {"vet_status": "ACTIVE", "vet_score": 80, "feedback": {"reasons": ["Company size"]}},
    "appeal_status": "COMPLETE",
    "appeal_status_update_date": "2024-08-15T08:42:31Z",
    "attachment_uuid_list": [],
    "brand_id": BRAND_ID,
    "category_list": ["LOW_SCORE"],
    "create_date": "2024-08-15T08:41:05",
    "explanation": "Please review the score",
    "evp_id": "AEGIS",
    "vetting_class": "STANDARD",
    "vetting_id": VETTING_ID,
}
QUALIFICATION: Final[dict[str, Any]] = {
    "usecase": "2FA",
    "monthly_fee": 10,
    "mno_metadata": [{"mno": "T-Mobile", "mno_qualify": True, "min_msg_samples": 1, "tmobile_brand_dcap": 2000}],
}
NUMBER: Final = {"number": "17029641104", "status": "APPROVED"}
SUBSCRIPTION: Final = {"subscription_category": "brand", "url": "https://hooks.example.com/1"}

ROWS: Final = [
    Row(
        lambda w: w.ten_dlc.brands.list(
            dba_name="Ac", entity_type="PRIVATE_PROFIT", mock=True, created_after=date(2026, 11, 1), per_page=10
        ),
        f"GET {BRANDS}",
        {"items": [BRAND], "pagination": PAGE},
        query={
            "dba_name": "Ac",
            "entity_type": "PRIVATE_PROFIT",
            "mock": "true",
            "created_after": "2026-11-01",
            "per_page": "10",
        },
    ),
    Row(
        lambda w: w.ten_dlc.brands.create(**{**NEW_BRAND, "phone_number": "+1 (212) 555-0143"}),
        f"POST {BRANDS}",
        BRAND,
        body=NEW_BRAND,
    ),
    Row(
        lambda w: w.ten_dlc.brands.create(
            **{**NEW_BRAND, "entity_type": "PUBLIC_PROFIT", "stock_symbol": "ACME", "stock_exchange": "NASDAQ"},
            state_or_province=None,
            mock=True,
        ),
        f"POST {BRANDS}",
        BRAND,
        body={
            **NEW_BRAND,
            "entity_type": "PUBLIC_PROFIT",
            "stock_symbol": "ACME",
            "stock_exchange": "NASDAQ",
            "state_or_province": None,
            "mock": True,
        },
    ),
    Row(lambda w: w.ten_dlc.brands.get(BRAND_ID), f"GET {BRAND_PATH}", BRAND),
    Row(
        lambda w: w.ten_dlc.brands.update(BRAND_ID, city="Miami", ein_taxid="99-9999999"),
        f"PUT {BRAND_PATH}",
        BRAND,
        body={"city": "Miami", "ein_taxid": "99-9999999"},
    ),
    Row(lambda w: w.ten_dlc.brands.delete(BRAND_ID), f"DELETE {BRAND_PATH}", {"success": True}),
    Row(lambda w: w.ten_dlc.brands.appeals.list(BRAND_ID), f"GET {BRAND_PATH}/appeals", [APPEAL]),
    Row(
        lambda w: w.ten_dlc.brands.appeals.create(BRAND_ID, appeal_categories=["VERIFY_TAX_ID"]),
        f"POST {BRAND_PATH}/appeals",
        {"success": True},
        body={"appeal_categories": ["VERIFY_TAX_ID"], "evidence": []},
    ),
    Row(
        lambda w: w.ten_dlc.brands.evidence.list(BRAND_ID),
        f"GET {BRAND_PATH}/evidence",
        {"items": [EVIDENCE]},
        result=[EVIDENCE],
    ),
    Row(lambda w: w.ten_dlc.brands.evidence.list(BRAND_ID), f"GET {BRAND_PATH}/evidence", [EVIDENCE]),
    Row(
        lambda w: w.ten_dlc.brands.evidence.delete(BRAND_ID, EVIDENCE_ID),
        f"DELETE {BRAND_PATH}/evidence/{EVIDENCE_ID}",
        {"success": True},
    ),
    Row(lambda w: w.ten_dlc.brands.vettings.list(BRAND_ID), f"GET {BRAND_PATH}/vettings", [VETTING]),
    Row(
        lambda w: w.ten_dlc.brands.vettings.create(BRAND_ID, evp_id="AEGIS", vetting_class="STANDARD"),
        f"POST {BRAND_PATH}/vettings",
        VETTING,
        body={"evp_id": "AEGIS", "vetting_class": "STANDARD"},
    ),
    Row(
        lambda w: w.ten_dlc.brands.vettings.import_(
            BRAND_ID, evp_id="AEGIS", vetting_id=VETTING_ID, vetting_token="token"
        ),
        f"PUT {BRAND_PATH}/vettings",
        VETTING,
        body={"evp_id": "AEGIS", "vetting_id": VETTING_ID, "vetting_token": "token"},
    ),
    Row(
        lambda w: w.ten_dlc.brands.vettings.appeals.list(BRAND_ID),
        f"GET {BRAND_PATH}/vettings/appeals",
        [VETTING_APPEAL],
    ),
    # One object until May 2026.
    Row(
        lambda w: w.ten_dlc.brands.vettings.appeals.list(BRAND_ID),
        f"GET {BRAND_PATH}/vettings/appeals",
        VETTING_APPEAL,
        result=[VETTING_APPEAL],
    ),
    Row(
        lambda w: w.ten_dlc.brands.vettings.appeals.create(
            BRAND_ID, appeal_categories=["LOW_SCORE"], evidence=[EVIDENCE_ID], explanation="Why", vetting_id=VETTING_ID
        ),
        f"POST {BRAND_PATH}/vettings/appeals",
        {"success": True},
        body={
            "appeal_categories": ["LOW_SCORE"],
            "evidence": [EVIDENCE_ID],
            "explanation": "Why",
            "vetting_id": VETTING_ID,
        },
    ),
    Row(lambda w: w.ten_dlc.brands.usecases.qualify(BRAND_ID, "2FA"), f"GET {BRAND_PATH}/usecases/2FA", QUALIFICATION),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.list(name="Co", usecase="2FA", status="APPROVED", mock=False, page=2),
        f"GET {BRANDS}/campaigns",
        {"items": [CAMPAIGN], "pagination": PAGE},
        query={"name": "Co", "usecase": "2FA", "status": "APPROVED", "mock": "false", "page": "2"},
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.list(BRAND_ID, created_before="2026-11-30", limit=5),
        f"GET {BRAND_PATH}/campaigns",
        {"items": [CAMPAIGN], "pagination": PAGE},
        query={"created_before": "2026-11-30", "per_page": "5"},
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.create(BRAND_ID, **NEW_CAMPAIGN),
        f"POST {BRAND_PATH}/campaigns",
        CAMPAIGN,
        body={**NEW_CAMPAIGN, "mock": False, "affiliate_marketing": False},
    ),
    Row(lambda w: w.ten_dlc.brands.campaigns.get(BRAND_ID, CAMPAIGN_ID), f"GET {CAMPAIGN_PATH}", CAMPAIGN),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.update(BRAND_ID, CAMPAIGN_ID, name="Codes", auto_renewal=True),
        f"PUT {CAMPAIGN_PATH}",
        CAMPAIGN,
        body={"name": "Codes", "auto_renewal": True},
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.delete(BRAND_ID, CAMPAIGN_ID), f"DELETE {CAMPAIGN_PATH}", {"success": True}
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.nudge(BRAND_ID, CAMPAIGN_ID, nudge_intent="REVIEW", description="Please"),
        f"POST {CAMPAIGN_PATH}/nudge",
        {"success": True},
        body={"nudge_intent": "REVIEW", "description": "Please"},
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.numbers.list(BRAND_ID, CAMPAIGN_ID),
        f"GET {CAMPAIGN_PATH}/numbers",
        {
            "brand_id": BRAND_ID,
            "campaign_id": CAMPAIGN_ID,
            "numbers": [{"number": "17029641104", "status": "APPROVED"}],
        },
        result=[{"number": "17029641104", "status": "APPROVED"}],
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.numbers.link(BRAND_ID, CAMPAIGN_ID, "+1 702 964 1104"),
        f"POST {CAMPAIGN_PATH}/numbers/17029641104",
        {"success": True, "number": "17029641104", "status": "pending", "message": "Submitted"},
    ),
    Row(
        lambda w: w.ten_dlc.brands.campaigns.numbers.unlink(BRAND_ID, CAMPAIGN_ID, "17029641104"),
        f"DELETE {CAMPAIGN_PATH}/numbers/17029641104",
        {"success": True},
    ),
    Row(lambda w: w.ten_dlc.subscriptions.list(), "GET /v3/10dlc/subscriptions", [SUBSCRIPTION]),
    Row(
        lambda w: w.ten_dlc.subscriptions.create(**SUBSCRIPTION),
        "POST /v3/10dlc/subscriptions",
        SUBSCRIPTION,
        body=SUBSCRIPTION,
    ),
    Row(
        lambda w: w.ten_dlc.subscriptions.delete("number"),
        "DELETE /v3/10dlc/subscriptions",
        {"success": True},
        query={"subscription_category": "number"},
    ),
]

ID_FIELDS: Final = {
    "GET /v3/10dlc/brands/{brand_id}": "brand_id",
    "PUT /v3/10dlc/brands/{brand_id}": "brand_id",
    "GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}": "campaign_id",
    "PUT /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}": "campaign_id",
    "GET /v3/10dlc/brands/{brand_id}/usecases/{use_case}": "usecase",
}
OWN_TESTS: Final = {
    "POST /v3/10dlc/brands/{brand_id}/evidence",
    "GET /v3/10dlc/brands/{brand_id}/evidence/{id}",
}
