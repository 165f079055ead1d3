"""10DLC: brands, campaigns, and what belongs to them.

The vendor's documentation leaves some questions open. We assume: the registry decides `registry_delay` seconds after a
request. A brand is verified, unless its `ein_taxid` ends in 0000; a mock brand is verified at once. An appeal with
evidence verifies the brand, and raises the score of a vetting. A campaign is approved, unless its name has the word
`declined`; an appeal by a nudge approves that one, too. A number is approved, unless its label has the word `rejected`.
Only verified brands can be vetted. A deleted brand is not found, but in the list on request; a deleted campaign can be
read. A second link of a number is refused. An update costs a fee only if the brand must be verified again; the import
of a vetting is free. Fees, scores, reasons and texts are our own, and three months have 90 days.
"""

import mimetypes
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.collection import Children, Codes, Collection, Uuids
from wavix_async.sandbox._groups.filters import Record, contains, exact, naive, since, until, without_plus
from wavix_async.sandbox._groups.forms import read_form
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import URL, json_object, one_of
from wavix_async.sandbox._server import ApiError, Call, Reply, Route

_HOUR = 3600.0
_MAX_FILE = 10 * 1024 * 1024
_OK = {"success": True}
_VERIFIED = ("VERIFIED", "VETTED_VERIFIED")
_ENDED = ("DECLINED", "DELETED", "EXPIRED")
_IDENTITY = ("company_name", "ein_taxid", "ein_taxid_country", "entity_type")
_PROOFS = {"VERIFY_NON_PROFIT": "NON_PROFIT", "VERIFY_GOVERNMENT": "GOVERNMENT"}
"""The entity type that an appeal category is for; a brand of that type may be verified already."""
_FEES = {"CHARITY": 3.0, "EMERGENCY": 5.0, "LOW_VOLUME": 1.5, "SOLE_PROPRIETOR": 2.0}
_FEE = 10.0
"""USD a month."""
_SCORE = 60
_CHARGES = {
    "Registration of the Brand": ("4.00", 42),
    "Update of the Brand": ("4.00", 47),
    "Appeal of the Brand": ("10.00", 48),
    "Vetting of the Brand": ("40.00", 50),
    "Appeal of the vetting of the Brand": ("15.00", 51),
}
"""The price in USD of what is done with a brand, and the type of the transaction."""
_CAMPAIGN_REGISTRATION = 43
_USE_CASES = (
    *("AGENTS_FRANCHISES", "CARRIER_EXEMPT", "CHARITY", "EMERGENCY", "K12_EDUCATION", "LOW_VOLUME", "M2M", "MIXED"),
    *("POLITICAL", "PROXY", "SOCIAL", "SOLE_PROPRIETOR", "SWEEPSTAKE", "TRIAL", "UCAAS_HIGH", "UCAAS_LOW", "2FA"),
    *("ACCOUNT_NOTIFICATION", "CUSTOMER_CARE", "DELIVERY_NOTIFICATION", "FRAUD_ALERT", "HIGHER_EDUCATION"),
    *("MARKETING", "POLLING_VOTING", "PUBLIC_SERVICE_ANNOUNCEMENT", "SECURITY_ALERT"),
)


class TenDLC:
    """The registrations of the account.

    Args:
        context: What the sandbox gives to every group.
        number: Returns a number of the account in wire form; None: the account does not own it.
        sender_ids: The sender ids of the account, which approved numbers become.
    """

    def __init__(self, context: Context, number: Callable[[str], Record | None], sender_ids: Collection) -> None:
        self.base_url = ""
        self._context = context
        self._number = number
        self._sender_ids = sender_ids
        self._deleted: set[str] = set()
        self._files: dict[str, bytes] = {}
        self._born: dict[str, float] = {}
        self._nudged: dict[str, float] = {}
        self._senders: dict[str, str] = {}
        dates = {"created_after": since("created_at"), "created_before": until("created_at"), "mock": _only_mock}
        self.brands = Collection(
            context,
            ids=Codes(context.seed, "B"),
            id_field="brand_id",
            record=self._brand_record,
            filters={
                **{name: contains(name) for name in ("dba_name", "company_name")},
                **{name: exact(name) for name in ("entity_type", "status", "country", "ein_taxid")},
                "show_deleted": lambda text: lambda record: text == "true" or record["brand_id"] not in self._deleted,
                **dates,
            },
        )
        self.campaigns = Collection(
            context,
            ids=Codes(context.seed, "C"),
            id_field="campaign_id",
            record=self._campaign_record,
            filters={
                "name": contains("name"),
                **{name: exact(name) for name in ("brand_id", "usecase", "status")},
                **dates,
            },
        )
        self.subscriptions = Collection(
            context,
            key=lambda record: record["subscription_category"],
            id_field=None,
            record=dict,
            checks={"subscription_category": one_of("brand", "campaign", "number"), "url": URL},
            required=("subscription_category", "url"),
            list_key=None,
        )
        self.appeals = self._of_brands(lambda _: Collection(context, record=dict, id_field=None, list_key=None))
        self.vetting_appeals = self._of_brands(lambda _: Collection(context, record=dict, id_field=None, list_key=None))
        self.vettings = self._of_brands(
            lambda brand: Collection(
                context,
                ids=Uuids(context.seed, f"vettings {brand}"),
                key=lambda record: record["vetting_id"],
                record=dict,
                list_key=None,
            )
        )
        self.evidence = self._of_brands(
            lambda brand: Collection(
                context,
                ids=Uuids(context.seed, f"evidence {brand}"),
                id_field="uuid",
                record=dict,
                paged=False,
            )
        )
        self.numbers = Children(
            lambda call: self._campaign(call)["campaign_id"],
            lambda _: Collection(
                context, key=lambda record: record["number"], record=dict, list_key="numbers", paged=False
            ),
        )

    def _of_brands(self, make: Callable[[Any], Collection]) -> Children:
        return Children(lambda call: self._brand(call)["brand_id"], make)

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        brands, subscriptions = "/v3/10dlc/brands", "/v3/10dlc/subscriptions"
        brand = f"{brands}/{{brand_id}}"
        campaigns = f"{brand}/campaigns"
        campaign = f"{campaigns}/{{campaign_id}}"
        number = f"{campaign}/numbers/{{number}}"
        read, write = "campaigns:read", "campaigns:write"
        return (
            Route("GET", brands, read, self._list_brands),
            Route("POST", brands, write, self._create_brand, charged=True),
            Route("GET", brand, read, lambda call: Reply.of(200, self._brand(call))),
            Route("PUT", brand, write, self._update_brand, charged=True),
            Route("DELETE", brand, write, self._delete_brand),
            Route("GET", f"{brand}/appeals", read, self.appeals.list),
            Route("POST", f"{brand}/appeals", write, self._appeal, charged=True),
            Route("GET", f"{brand}/evidence", read, self.evidence.list),
            Route("POST", f"{brand}/evidence", write, self._upload, upload=True),
            Route("GET", f"{brand}/evidence/{{id}}", read, self._file),
            Route("DELETE", f"{brand}/evidence/{{id}}", write, self.evidence.delete),
            Route("GET", f"{brand}/vettings", read, self.vettings.list),
            Route("POST", f"{brand}/vettings", write, self._vet, charged=True),
            Route("PUT", f"{brand}/vettings", write, self._import_vetting),
            Route("GET", f"{brand}/vettings/appeals", read, self.vetting_appeals.list),
            Route("POST", f"{brand}/vettings/appeals", write, self._appeal_vetting, charged=True),
            Route("GET", f"{brand}/usecases/{{use_case}}", read, self._qualify),
            Route("GET", f"{brands}/campaigns", read, self._list_campaigns),
            Route("GET", campaigns, read, self._list_campaigns),
            Route("POST", campaigns, write, self._create_campaign, charged=True),
            Route("GET", campaign, read, lambda call: Reply.of(200, self._campaign(call, deleted=True))),
            Route("PUT", campaign, write, self._update_campaign),
            Route("DELETE", campaign, write, self._delete_campaign),
            Route("POST", f"{campaign}/nudge", write, self._nudge),
            Route("GET", f"{campaign}/numbers", read, self._list_numbers),
            Route("POST", number, write, self._link),
            Route("DELETE", number, write, self._unlink),
            Route("GET", subscriptions, read, self.subscriptions.list),
            Route("POST", subscriptions, write, self.subscriptions.create),
            Route("DELETE", subscriptions, write, self._unsubscribe),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        for each in (self.brands, self.campaigns, self.subscriptions, self.appeals, self.vettings):
            each.reset()
        for children in (self.vetting_appeals, self.evidence, self.numbers):
            children.reset()
        for state in (self._deleted, self._files, self._born, self._nudged, self._senders):
            state.clear()

    def set_status(self, key: str, status: str) -> None:
        """Set the status of a brand or a campaign, as the registry may do at any time, and post the event."""
        if key in self.brands:
            self._set_brand(key, status)
        else:
            self._set_campaign(key, status)

    # --- what a path names ---

    def _brand(self, call: Call) -> Record:
        key = call.ids[0]
        if key in self._deleted:
            raise ApiError(404, "Record not found")
        return self.brands.find(key)

    def _campaign(self, call: Call, *, deleted: bool = False) -> Record:
        brand, record = self._brand(call), self.campaigns.find(call.ids[1])
        if record["brand_id"] != brand["brand_id"] or (record["status"] == "DELETED" and not deleted):
            raise ApiError(404, "Record not found")
        return record

    def _has_campaigns(self, brand: str) -> bool:
        return any(
            each["brand_id"] == brand and each["status"] not in _ENDED
            for each in map(self.campaigns.find, self.campaigns)
        )

    # --- what happens later ---

    def _later(self, action: Callable[..., None], *arguments: Any) -> None:
        self._context.timers.after(self._context.registry_delay, partial(action, *arguments))

    def _post(self, category: str, event: Record) -> None:
        url = self.subscriptions.find(category)["url"] if category in self.subscriptions else None
        self._context.outbox.post(category, url, event)

    def _now(self) -> str:
        return naive(self._context.date())

    def _set_brand(self, key: str, status: str, feedback: str | None = None) -> None:
        self.brands.change(key, {"status": status, "feedback": feedback, "updated_at": self._now()})
        self._post("brand", {"brand_id": key, "status": status})

    def _decide_brand(self, key: str) -> None:
        record = self.brands.find(key)
        if record["status"] != "REVIEW" or key in self._deleted:
            return
        if record["ein_taxid"].endswith("0000"):
            self._set_brand(key, "UNVERIFIED", "The tax ID does not match the company")
        else:
            self._set_brand(key, "VERIFIED")

    def _set_campaign(self, key: str, status: str, feedback: str | None = None) -> None:
        record = self.campaigns.change(key, {"status": status, "feedback": feedback, "updated_at": self._now()})
        self._post("campaign", {"campaign_id": key, "brand_id": record["brand_id"], "status": status})

    def _decide_campaign(self, key: str, *, appealed: bool = False) -> None:
        record = self.campaigns.find(key)
        if record["status"] != "REVIEW":
            return
        if "declined" in record["name"].lower() and not appealed:
            self._set_campaign(key, "DECLINED", "The sample messages do not fit the use case")
        else:
            self._set_campaign(key, "APPROVED")

    def _decide_number(self, brand: str, campaign: str, number: str) -> None:
        numbers = self.numbers.of(campaign)
        if number not in numbers or numbers.find(number)["status"] != "PENDING":
            return
        label = (self._number(number) or {}).get("label") or ""
        status = "REJECTED" if "rejected" in label.lower() else "APPROVED"
        numbers.change(number, {"status": status})
        if status == "APPROVED":
            self._add_sender_id(number)
        self._post("number", {"number": number, "campaign_id": campaign, "brand_id": brand, "status": status})

    def _add_sender_id(self, number: str) -> None:
        # The account may have registered it by itself.
        if all(without_plus(self._sender_ids.find(key)["sender_id"]) != number for key in self._sender_ids):
            record = {"sender_id": number, "type": "numeric", "allowlisted_in": ["US"], "usecase": "transactional"}
            self._senders[number] = self._sender_ids.add({**record, "samples": []})["id"]

    def _charge(self, what: str, brand: str) -> None:
        price, kind = _CHARGES[what]
        self._context.charge(price, kind, f"{what} {brand}")

    # --- brands ---

    def _list_brands(self, call: Call) -> Reply:
        return Reply.of(200, self.brands.page({"show_deleted": "false", **dict(parse_qsl(call.query))}))

    def _brand_record(self, given: Record) -> Record:
        optional = dict.fromkeys(("website", "stock_symbol", "stock_exchange", "state_or_province"))
        now = self._now()
        return {
            **optional,
            "mock": False,
            **given,
            "status": "VERIFIED" if given.get("mock") else "REVIEW",
            "feedback": None,
            "created_at": now,
            "updated_at": now,
        }

    def _create_brand(self, call: Call) -> Reply:
        given = json_object(call.body)
        self._charge("Registration of the Brand", given["company_name"])
        record = self.brands.insert(given)
        reply = Reply.of(201, record)
        self._later(self._decide_brand, record["brand_id"])
        return reply

    def _update_brand(self, call: Call) -> Reply:
        old, given = self._brand(call), json_object(call.body)
        key = old["brand_id"]
        if old["status"] in ("REVIEW", "VETTED_VERIFIED"):
            raise ApiError(422, f"A Brand in the status {old['status']} cannot be updated")
        if self._has_campaigns(key):
            raise ApiError(422, "A Brand with active Campaigns cannot be updated")
        is_other = any(name in given and given[name] != old[name] for name in _IDENTITY)
        if is_other:
            self._charge("Update of the Brand", key)
        self.brands.change(key, {**given, "updated_at": self._now()})
        if is_other:
            self._set_brand(key, "UNVERIFIED")
            self._set_brand(key, "REVIEW")
            self._later(self._decide_brand, key)
        return Reply.of(200, self.brands.find(key))

    def _delete_brand(self, call: Call) -> Reply:
        key = self._brand(call)["brand_id"]
        if self._has_campaigns(key):
            raise ApiError(422, "A Brand with active Campaigns cannot be deleted")
        self._deleted.add(key)
        return Reply.of(200, _OK)

    def _qualify(self, call: Call) -> Reply:
        brand, use_case = self._brand(call), call.ids[1]
        if brand["status"] == "REVIEW":
            raise ApiError(422, "The Brand is in a 'pending' state: it has no score yet")
        if use_case not in _USE_CASES:
            raise ApiError(422, "The use case is unknown")
        is_vetted = brand["status"] == "VETTED_VERIFIED"
        operators = [_operator(mno, is_vetted=is_vetted) for mno in ("AT&T", "T-Mobile")]
        fee = _FEES.get(use_case, _FEE)
        return Reply.of(200, {"usecase": use_case, "monthly_fee": fee, "mno_metadata": operators})

    # --- evidence and appeals ---

    async def _upload(self, call: Call) -> Reply:
        form = await read_form(call.request, "file")
        if not form.content:
            raise ApiError(422, "File missing")
        if len(form.content) > _MAX_FILE:
            raise ApiError(422, "The file is larger than 10 MB")
        with self._context.lock:
            files = self.evidence.at(call)
            mime = mimetypes.guess_type(form.filename)[0] or "application/octet-stream"
            record = files.add({"file_name": form.filename, "mime_type": mime})
            key = record["uuid"]
            url = f"{self.base_url}/v3/10dlc/brands/{call.ids[0]}/evidence/{key}"
            self._files[key] = form.content
            return Reply.of(201, files.change(key, {"url": url}))

    async def _file(self, call: Call) -> Reply:
        with self._context.lock:
            record = self.evidence.at(call).find(call.ids[1])
            content = self._files[record["uuid"]]
        return await self._context.files.reply(record["file_name"], record["mime_type"], content)

    def _given_appeal(self, call: Call) -> Record:
        given = {"evidence": [], "explanation": "", **json_object(call.body)}
        unknown = [key for key in given["evidence"] if key not in self.evidence.at(call)]
        if unknown:
            raise ApiError(422, f"There is no evidence {unknown[0]}")
        return given

    def _appeal(self, call: Call) -> Reply:
        brand, given = self._brand(call), self._given_appeal(call)
        for category in given["appeal_categories"]:
            is_open = brand["status"] == "UNVERIFIED"
            is_open = is_open or (brand["status"] == "VERIFIED" and _PROOFS.get(category) == brand["entity_type"])
            if not is_open or _PROOFS.get(category, brand["entity_type"]) != brand["entity_type"]:
                raise ApiError(422, f"Invalid request by {brand['status']} entity for {category} category")
        self._charge("Appeal of the Brand", brand["brand_id"])
        now = self._now()
        record = {
            "categories": given["appeal_categories"],
            "evidence": given["evidence"],
            "explanation": given["explanation"],
            "status": "PENDING",
            "outcome": _outcome(brand["status"]),
            "created_at": now,
            "updated_at": now,
        }
        appeals = self.appeals.at(call)
        self._later(self._decide_appeal, brand["brand_id"], len(appeals) + 1)
        appeals.add(record)
        return Reply.of(200, _OK)

    def _decide_appeal(self, brand: str, position: int) -> None:
        record = self.appeals.of(brand).find(position)
        status = self.brands.find(brand)["status"]
        if record["evidence"] and status == "UNVERIFIED":
            status = "VERIFIED"
            self._set_brand(brand, status)
        changes = {"status": "COMPLETED", "outcome": _outcome(status), "updated_at": self._now()}
        self.appeals.of(brand).change(position, changes)

    # --- vettings ---

    def _vet(self, call: Call) -> Reply:
        brand, given, vettings = self._brand(call), json_object(call.body), self.vettings.at(call)
        if brand["status"] not in _VERIFIED:
            raise ApiError(422, "Only a verified Brand can be vetted")
        self._charge("Vetting of the Brand", brand["brand_id"])
        record = vettings.add(self._vetting(given, vettings.ids.make(len(vettings)), None, None))
        reply = Reply.of(200, record)
        self._later(self._finish_vetting, brand["brand_id"], record["vetting_id"])
        return reply

    def _import_vetting(self, call: Call) -> Reply:
        brand, given = self._brand(call), json_object(call.body)
        if brand["status"] not in _VERIFIED:
            raise ApiError(422, "Only a verified Brand can be vetted")
        record = self._vetting(given, given["vetting_id"], given["vetting_token"], _SCORE)
        self.vettings.at(call).add(record)
        self._is_vetted(brand["brand_id"])
        return Reply.of(200, record)

    def _vetting(self, given: Record, key: str, token: str | None, score: int | None) -> Record:
        now = self._now()
        return {
            "evp_id": given["evp_id"],
            "create_date": now,
            "vetted_date": None if score is None else now,
            "vetting_id": key,
            "vetting_token": token,
            "vetting_score": score,
            "vetting_class": given.get("vetting_class", "STANDARD"),
            "vetting_status": "PENDING" if score is None else "ACTIVE",
            "vetting_details": {},
            "reasons": None,
        }

    def _finish_vetting(self, brand: str, key: str) -> None:
        done = {"vetting_status": "ACTIVE", "vetting_score": _SCORE, "vetting_token": f"sandbox-token-of-{key}"}
        reasons = ["The company has few employees"]
        self.vettings.of(brand).change(key, {**done, "vetted_date": self._now(), "reasons": reasons})
        self._is_vetted(brand)

    def _is_vetted(self, brand: str) -> None:
        if self.brands.find(brand)["status"] == "VERIFIED":
            self._set_brand(brand, "VETTED_VERIFIED")

    def _appeal_vetting(self, call: Call) -> Reply:
        brand, given, vettings = self._brand(call), self._given_appeal(call), self.vettings.at(call)
        if "VERIFY_TAX_ID" in given["appeal_categories"] and brand["status"] == "VETTED_VERIFIED":
            raise ApiError(422, "Invalid request by VETTED_VERIFIED entity for VERIFY_TAX_ID category")
        key = given.get("vetting_id") or next(reversed(list(vettings)), None)
        if key not in vettings:
            raise ApiError(422, "There is no such vetting")
        self._charge("Appeal of the vetting of the Brand", brand["brand_id"])
        vetting, now = vettings.find(key), self._now()
        record = {
            "appeal_outcome": _vetting_outcome(vetting),
            "appeal_status": "PENDING",
            "appeal_status_update_date": now,
            "attachment_uuid_list": given["evidence"],
            "brand_id": brand["brand_id"],
            "category_list": given["appeal_categories"],
            "create_date": now,
            "explanation": given["explanation"],
            **{name: vetting[name] for name in ("evp_id", "vetting_class", "vetting_id")},
        }
        appeals = self.vetting_appeals.at(call)
        self._later(self._decide_vetting_appeal, brand["brand_id"], len(appeals) + 1)
        appeals.add(record)
        return Reply.of(200, _OK)

    def _decide_vetting_appeal(self, brand: str, position: int) -> None:
        record, vettings = self.vetting_appeals.of(brand).find(position), self.vettings.of(brand)
        vetting = vettings.find(record["vetting_id"])
        if record["attachment_uuid_list"] and vetting["vetting_score"] is not None:
            vetting = vettings.change(record["vetting_id"], {"vetting_score": min(vetting["vetting_score"] + 20, 100)})
        done = {"appeal_status": "COMPLETE", "appeal_outcome": _vetting_outcome(vetting)}
        self.vetting_appeals.of(brand).change(position, {**done, "appeal_status_update_date": self._now()})

    # --- campaigns ---

    def _list_campaigns(self, call: Call) -> Reply:
        given = dict(parse_qsl(call.query))
        given.pop("brand_id", None)
        if call.ids:
            given["brand_id"] = self._brand(call)["brand_id"]
        return Reply.of(200, self.campaigns.page(given))

    def _campaign_record(self, given: Record) -> Record:
        optional = ("embedded_link_sample", "sample2", "sample3", "sample4", "sample5", "privacy_policy")
        now = self._context.date()
        return {
            **dict.fromkeys(optional),
            "mock": False,
            "affiliate_marketing": False,
            **given,
            "embedded_phones": bool(given.get("embedded_phones")),
            "status": "REVIEW",
            "feedback": None,
            "phone_numbers": [],
            "monthly_fee": str(_FEES.get(given["usecase"], _FEE)),
            "last_bill_date": naive(now),
            "next_bill_date": naive(now + timedelta(days=90)),
            "created_at": naive(now),
            "updated_at": naive(now),
        }

    def _create_campaign(self, call: Call) -> Reply:
        brand = self._brand(call)
        if brand["status"] not in _VERIFIED:
            raise ApiError(422, "The Brand is not verified")
        given = json_object(call.body)
        fee = Decimal(str(_FEES.get(given["usecase"], _FEE)))
        self._context.charge(3 * fee, _CAMPAIGN_REGISTRATION, f"Registration of the Campaign {given['name']}")
        record = self.campaigns.insert({**given, "brand_id": brand["brand_id"]})
        self._born[record["campaign_id"]] = self._context.clock()
        reply = Reply.of(201, record)
        self._later(self._decide_campaign, record["campaign_id"])
        return reply

    def _update_campaign(self, call: Call) -> Reply:
        key, given = self._campaign(call)["campaign_id"], json_object(call.body)
        return Reply.of(200, self.campaigns.change(key, {**given, "updated_at": self._now()}))

    def _delete_campaign(self, call: Call) -> Reply:
        key = self._campaign(call)["campaign_id"]
        for number in self.numbers.of(key):
            self._remove_number(key, number)
        self._set_campaign(key, "DELETED")
        return Reply.of(200, _OK)

    def _nudge(self, call: Call) -> Reply:
        record, given, now = self._campaign(call), json_object(call.body), self._context.clock()
        key = record["campaign_id"]
        if now < self._born[key] + 72 * _HOUR:
            raise ApiError(429, "The Campaign is younger than 72 hours")
        if now < self._nudged.get(key, -24 * _HOUR) + 24 * _HOUR:
            raise ApiError(429, "Only one nudge per Campaign is allowed every 24 hours")
        if given["nudge_intent"] not in ("REVIEW", "APPEAL_REJECTION"):
            raise ApiError(422, "The nudge_intent must be REVIEW or APPEAL_REJECTION")
        if given["nudge_intent"] == "APPEAL_REJECTION":
            if record["status"] != "DECLINED":
                raise ApiError(422, "Only a declined Campaign can be appealed")
            self._set_campaign(key, "REVIEW")
            self._later(partial(self._decide_campaign, appealed=True), key)
        self._nudged[key] = now
        return Reply.of(200, _OK)

    # --- numbers of campaigns ---

    def _list_numbers(self, call: Call) -> Reply:
        ids = dict(zip(("brand_id", "campaign_id"), call.ids, strict=True))
        return Reply.of(200, {**ids, **self.numbers.at(call).page({})})

    def _link(self, call: Call) -> Reply:
        campaign, number, numbers = self._campaign(call), without_plus(call.ids[2]), self.numbers.at(call)
        if self._number(number) is None:
            raise ApiError(404, "Record not found")
        if not number.startswith("1"):
            raise ApiError(422, "Only US numbers can be linked")
        if campaign["status"] != "APPROVED":
            raise ApiError(422, "The Campaign is not approved")
        if any(number in self.numbers.of(key) for key in self.campaigns):
            raise ApiError(422, "The number is linked already")
        numbers.add({"number": number, "status": "PENDING"})
        campaign["phone_numbers"].append(number)
        self._later(self._decide_number, campaign["brand_id"], campaign["campaign_id"], number)
        return Reply.of(200, _OK)

    def _unlink(self, call: Call) -> Reply:
        key, number = self._campaign(call)["campaign_id"], without_plus(call.ids[2])
        self.numbers.of(key).find(number)
        self._remove_number(key, number)
        return Reply.of(200, _OK)

    def _remove_number(self, key: str, number: str) -> None:
        self.numbers.of(key).remove(number)
        self.campaigns.find(key)["phone_numbers"].remove(number)
        sender_id = self._senders.pop(number, None)
        if sender_id in self._sender_ids:
            self._sender_ids.remove(sender_id)

    # --- subscriptions ---

    def _unsubscribe(self, call: Call) -> Reply:
        self.subscriptions.remove(dict(parse_qsl(call.query)).get("subscription_category"))
        return Reply.of(200, _OK)


def _only_mock(text: str) -> Callable[[Record], bool]:
    return lambda record: record["mock"] or text != "true"


def _outcome(status: str) -> Record:
    return {"optional_attributes": {}, "vetting_status": status, "feedback": {"category": []}}


def _vetting_outcome(vetting: Record) -> Record:
    reasons = {"reasons": vetting["reasons"] or []}
    return {"vet_status": vetting["vetting_status"], "vet_score": vetting["vetting_score"] or 0, "feedback": reasons}


def _operator(mno: str, *, is_vetted: bool) -> Record:
    att, tmobile = mno == "AT&T", mno == "T-Mobile"
    return {
        "mno": mno,
        **dict.fromkeys(("mno_qualify", "mno_support", "help_required", "optin_required", "optout_required"), True),
        **dict.fromkeys(("mno_review", "no_embedded_links", "no_embedded_phone"), False),
        "min_msg_samples": 1,
        "att_msg_class": ("A" if is_vetted else "E") if att else None,
        "att_sms_tpm": (4500 if is_vetted else 240) if att else None,
        "att_mms_tpm": (2400 if is_vetted else 150) if att else None,
        "att_tpm_scope": "CAMPAIGN" if att else None,
        "tmobile_brand_dcap": (200_000 if is_vetted else 2000) if tmobile else None,
        "tmobile_brand_tier": ("TOP" if is_vetted else "LOW") if tmobile else None,
    }
