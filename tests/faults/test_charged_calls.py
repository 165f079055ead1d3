"""Calls that must go out once, over twenty operations: one answer in twenty is lost, and none is carried out twice.

The proofs that what a journal has also holds over `kill -9` are in `test_send_kill.py` (`messages.bulk_send`) and
`test_link_kill.py` (`numbers.bulk_link`); that of `validation.run` is in
`tests/resources/test_validation_run.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

import attrs
import pytest

from tests.faults.conftest import Recorder
from tests.resources.rows.ten_dlc import NEW_BRAND, NEW_CAMPAIGN
from tests.resources.rows.trunks import PASSWORD, REQUIRED
from tests.support.model import hold_to_its_facts
from wavix_async import OutcomeUnknownError, UnprocessableEntityError, WavixClient, WavixError
from wavix_async.sandbox import Sandbox

CALLER: Final = "13132847320"
HOOK: Final = "https://hooks.example.com/1"
EVERY: Final = 20
_MANY: Final = 1_000_000
LOST: Final = ("reset_after", "reset_before", "half_body", "status_504")
REFUSED: Final = "status_422"
NOT_DONE: Final = ("reset_before", "status_504", REFUSED)


@attrs.frozen
class Ground:
    """What has to be there before the calls: one of each for every call, and the campaign that gets numbers."""

    calls: list[str]
    cdrs: list[str]
    brands: list[str]
    numbers: list[str]
    for_sale: list[str]
    service: str
    campaign: tuple[str, str]


@attrs.frozen
class Kind:
    """One operation.

    Attributes:
        request: The method and the path, with `*` for ids.
        key: What tells one call from the others at the server, by its position.
        call: Makes the call with a key.
        done: The keys of what the server has carried out, one for each time.
    """

    request: str
    key: Callable[[Ground, int], str]
    call: Callable[[WavixClient, Ground, str], Awaitable[Any]]
    done: Callable[[Sandbox], Iterable[str]]


def phone(area: int) -> Callable[[Ground, int], str]:
    """Make phone numbers, of which none has an end that the sandbox treats in another way."""
    return lambda _, position: f"1{area}{5_551_000 + position}"


def name(prefix: str) -> Callable[[Ground, int], str]:
    return lambda _, position: f"{prefix}{position}"


def charged(what: str) -> Callable[[Sandbox], Iterable[str]]:
    """Read what was carried out from the transactions."""
    return lambda sandbox: [
        each["details"].removeprefix(what) for each in sandbox.transactions.values() if each["details"].startswith(what)
    ]


def shown(records: str, field: str) -> Callable[[Sandbox], Iterable[str]]:
    """Read what was carried out from the records that a sandbox shows."""
    return lambda sandbox: [each[field] for each in getattr(sandbox, records).values()]


def heard(request: str, read: Callable[[Any], str]) -> Callable[[Sandbox], Iterable[str]]:
    """Read what was carried out from the bodies of the requests, for records that a sandbox does not show."""
    return lambda sandbox: [read(each.json) for each in sandbox.requests_to(request) if each.fault not in NOT_DONE]


def played(sandbox: Sandbox) -> Iterable[str]:
    payloads = [each.body for each in sandbox.outbox if each.kind == "on_call"]
    return [
        each["uuid"]
        for each in payloads
        if (each["event_payload"] or {}).get("type") == "audio"
        and each["event_payload"]["payload"]["status"] == "started"
    ]


KINDS: Final = [
    Kind(
        "POST /v3/messages",
        phone(512),
        lambda w, _, key: w.messages.send(from_="Acme", to=key, message_body={"text": "Hello"}),
        shown("messages", "to"),
    ),
    Kind(
        "POST /v3/messages/sender-ids",
        name("Acme"),
        lambda w, _, key: w.messages.sender_ids.create(
            sender_id=key, type="alphanumeric", countries=["GB"], usecase="promo", monthly_volume="1-1000"
        ),
        charged("Registration of the Sender ID "),
    ),
    Kind(
        "POST /v1/calls",
        name("tag-"),
        lambda w, _, key: w.calls.create(from_=CALLER, to="17653889567", tag=key),
        shown("calls", "tag"),
    ),
    Kind(
        "POST /v1/calls/*/play",
        lambda ground, position: ground.calls[position],
        lambda w, _, key: w.calls.play(key, audio_file="https://examples.com/audio.wav"),
        played,
    ),
    Kind(
        "POST /v1/voice-campaigns",
        phone(672),
        lambda w, _, key: w.voice_campaigns.create(callflow_id=1, caller_id=CALLER, contact=key),
        shown("cdrs", "to"),
    ),
    Kind(
        "PUT /v1/cdrs/*/retranscribe",
        lambda ground, position: ground.cdrs[position],
        lambda w, _, key: w.cdrs.retranscribe(key, language="de"),
        charged("Transcription of the call "),
    ),
    Kind(
        "POST /v1/speech-analytics",
        lambda _, position: f"{position}.wav",
        lambda w, _, key: w.speech_analytics.upload(file=b"RIFF", filename=key, callback_url=HOOK),
        charged("Transcription of "),
    ),
    Kind(
        "POST /v1/buy/cart/checkout",
        lambda ground, position: ground.for_sale[position],
        lambda w, _, key: w.buy.cart.checkout(ids=[key]),
        charged("Monthly fee for "),
    ),
    Kind(
        "POST /v1/validation",
        phone(213),
        lambda w, _, key: w.validation.create(phone_numbers=[key], type="analysis"),
        charged("Validation of "),
    ),
    Kind(
        "GET /v1/validation",
        phone(214),
        lambda w, _, key: w.validation.validate(key, type="validation"),
        charged("Validation of "),
    ),
    Kind(
        "POST /v1/two-fa/verification",
        phone(215),
        lambda w, ground, key: w.two_fa.verification.create(service_id=ground.service, to=key, channel="sms"),
        shown("two_fa_sessions", "phone_number"),
    ),
    Kind(
        "POST /v1/short-links",
        name("https://shop.example.com/"),
        lambda w, _, key: w.short_links.create(link=key),
        heard("POST /v1/short-links", lambda body: body["link"]),
    ),
    Kind(
        "POST /v3/10dlc/brands",
        name("Company "),
        lambda w, _, key: w.ten_dlc.brands.create(**{**NEW_BRAND, "company_name": key}),
        shown("brands", "company_name"),
    ),
    Kind(
        "POST /v3/10dlc/brands/*/campaigns",
        name("Campaign "),
        lambda w, ground, key: w.ten_dlc.brands.campaigns.create(ground.campaign[0], **{**NEW_CAMPAIGN, "name": key}),
        shown("campaigns", "name"),
    ),
    Kind(
        "POST /v3/10dlc/brands/*/vettings",
        lambda ground, position: ground.brands[position],
        lambda w, _, key: w.ten_dlc.brands.vettings.create(key, evp_id="AEGIS", vetting_class="STANDARD"),
        charged("Vetting of the Brand "),
    ),
    Kind(
        "POST /v3/10dlc/brands/*/numbers/*",
        lambda ground, position: ground.numbers[position],
        lambda w, ground, key: w.ten_dlc.brands.campaigns.numbers.link(*ground.campaign, key),
        lambda sandbox: [number for each in sandbox.campaigns.values() for number in each["phone_numbers"]],
    ),
    Kind(
        "POST /v1/sub-organizations",
        name("Shop "),
        lambda w, _, key: w.sub_organizations.create(name=key),
        shown("sub_organizations", "name"),
    ),
    Kind(
        "POST /v1/trunks",
        name("Office "),
        lambda w, _, key: w.trunks.create(password=PASSWORD, **{**REQUIRED, "label": key}),
        shown("trunks", "label"),
    ),
    Kind(
        "POST /v1/api-keys",
        name("billing "),
        lambda w, _, key: w.api_keys.create(label=key),
        shown("api_keys", "label"),
    ),
    Kind(
        "POST /v2/webrtc/tokens",
        name("trunk-"),
        lambda w, _, key: w.webrtc.tokens.create(sip_trunk=key, ttl=None),
        heard("POST /v2/webrtc/tokens", lambda body: body["sip_trunk"]),
    ),
]


async def prepare(wavix: WavixClient, sandbox: Sandbox, count: int) -> Ground:
    """Make what the calls need."""
    calls = [await wavix.calls.create(from_=CALLER, to="17653889567", tag="ground") for _ in range(count)]
    brands = [(await wavix.ten_dlc.brands.create(**NEW_BRAND)).brand_id for _ in range(count + 1)]
    campaign = (await wavix.ten_dlc.brands.campaigns.create(brands[-1], **NEW_CAMPAIGN)).campaign_id
    country = next(each.id for each in await wavix.buy.countries.list() if each.name == "United States")
    places = [
        city
        for region in await wavix.buy.countries.regions.list(country)
        for city in await wavix.buy.countries.regions.cities.list(country, region.id)
    ]
    for_sale: list[str] = []
    for city in places:
        for_sale += [each.number async for each in wavix.buy.countries.cities.dids.list(country, city.id)]
        if len(for_sale) >= count:
            break
    await wavix.buy.cart.add(ids=for_sale[:count])
    recorded = {each["call_uuid"] for each in sandbox.recordings.values()}
    return Ground(
        calls=[each.id or "" for each in calls],
        cdrs=[key for key in sandbox.cdrs if key in recorded],
        brands=brands[:-1],
        numbers=[each["number"] for each in sandbox.numbers.values()],
        for_sale=for_sale,
        service=next(iter(sandbox.two_fa_services)),
        campaign=(brands[-1], campaign),
    )


class Plan:
    """Loses every twentieth answer of each operation, and refuses as many calls, in any order of arrival."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.seen: Counter[str] = Counter()
        self._fate: str | None = None
        first, *others = (*LOST, REFUSED)
        sandbox.fail_next(first, _MANY, lambda method, path: self._decide(method, path) == first)
        for fault in others:
            sandbox.fail_next(fault, _MANY, lambda *_, fault=fault: self._fate == fault)

    def _decide(self, method: str, path: str) -> str | None:
        """Decide what becomes of a request; the sandbox asks for the first fault first, so once for each request."""
        self._fate = None
        for at, kind in enumerate(KINDS):
            if fnmatchcase(f"{method} {path}", kind.request):
                self.seen[kind.request] += 1
                turn, rest = divmod(self.seen[kind.request], EVERY)
                if rest in (0, EVERY // 2):
                    self._fate = REFUSED if rest else LOST[(turn + at) % len(LOST)]
        return self._fate


@pytest.mark.req_01
@pytest.mark.req_05
@pytest.mark.req_37
@pytest.mark.parametrize("each", [EVERY, pytest.param(100, marks=pytest.mark.scale)])
async def test_calls_of_twenty_operations_go_out_once_and_tell_the_truth(each: int) -> None:
    """Requirements 1, 5 and 37: a success was carried out once, a failure was not; what lost its answer is unknown."""
    succeeded, refused, unknown = ({kind.request: set[str]() for kind in KINDS} for _ in range(3))
    errors: list[WavixError] = []
    events = Recorder()

    async def one(wavix: WavixClient, ground: Ground, kind: Kind, key: str) -> None:
        try:
            await kind.call(wavix, ground, key)
        except (OutcomeUnknownError, UnprocessableEntityError) as error:
            errors.append(error)
            (unknown if error.outcome == "unknown" else refused)[kind.request].add(key)
        else:
            succeeded[kind.request].add(key)

    with Sandbox(numbers=each, cdrs=3 * each, call_duration=1e6) as sandbox:
        async with WavixClient(sandbox.api_key, base_url=sandbox.url, observers=(events,)) as wavix:
            ground = await prepare(wavix, sandbox, each)
            keys = {kind.request: [kind.key(ground, position) for position in range(each)] for kind in KINDS}
            events.events.clear()
            plan = Plan(sandbox)
            # The operations are mixed, so that those in flight at once are of many.
            calls = [one(wavix, ground, kind, keys[kind.request][at]) for at in range(each) for kind in KINDS]
            await asyncio.gather(*calls)
        faults = sandbox.stats.faults
        done = {kind.request: Counter(kind.done(sandbox)) for kind in KINDS}

    for error in errors:
        hold_to_its_facts(error)
    assert {error.attempts for error in errors} == {1}
    share = each // EVERY
    # Each call came to the server, so each came just once.
    assert plan.seen == dict.fromkeys(keys, each)
    assert len(events.on_the_wire) == len(calls)
    assert sum(faults[fault] for fault in LOST) == faults[REFUSED] == share * len(KINDS)
    assert faults.keys() == {*LOST, REFUSED}
    for request, wanted in keys.items():
        times = {key: done[request][key] for key in wanted}
        assert len(times) == each, request
        assert max(times.values()) == 1, request
        made = {key for key in wanted if times[key]}
        assert succeeded[request] <= made, request
        assert made.isdisjoint(refused[request]), request
        ends = succeeded[request], refused[request], unknown[request]
        assert [len(keys_of_end) for keys_of_end in ends] == [each - 2 * share, share, share], request
        assert set().union(*ends) == set(wanted), request
    carried_out = sum(done[request][key] for request, wanted in keys.items() for key in wanted)
    assert carried_out == len(calls) - sum(faults[fault] for fault in NOT_DONE)
