"""The account's numbers as a pure function of a seed: record `i` is computed when it is needed.

Nothing is stored, so an account of a million numbers costs nothing until it is changed. Each field with a filter
(number, label, city) has its own cheap function, so that a filter does not build whole records.
"""

from typing import Any

from attrs import frozen

FIRST_ID = 1001
"""The id of the first number; the next ids follow without gaps."""
_FOR_SALE = 1_000_001
"""The first subscriber number of those that can be bought: the account begins with larger ones."""
MAX_NUMBERS = 8_000_000
"""The number of distinct subscriber numbers from 2000000 to 9999999."""

DOC_TYPES: dict[int, tuple[str, str]] = {
    1: ("id", "Proof of identity"),
    2: ("address", "Proof of address"),
    3: ("localaddress", "Proof of local address"),
}
"""Document types: id to (name, title)."""


@frozen
class City:
    """A city or rate center that numbers belong to."""

    id: int
    name: str
    state: str | None
    country: str
    country_code: str
    prefix: str

    def for_sale(self, place: int) -> str:
        """Return a number that the account can buy, and that is never one of its numbers of the start."""
        return f"{self.prefix}{_FOR_SALE + place}"


def _us(city_id: int, name: str, state: str, area: str) -> City:
    return City(city_id, f"{name}, {state}", state, "United States", "US", f"1{area}")


def _canada(city_id: int, name: str, state: str, area: str) -> City:
    return City(city_id, f"{name}, {state}", state, "Canada", "CA", f"1{area}")


HOME_CITIES = (
    _us(101, "DETROIT", "MI", "313"),
    _us(102, "CHICAGO", "IL", "312"),
    _us(103, "HUNTSVILLE", "AL", "256"),
    _us(104, "BILLINGS", "MT", "406"),
    _us(105, "SEATTLE", "WA", "206"),
    _us(106, "AUSTIN", "TX", "512"),
    _us(107, "MIAMI", "FL", "305"),
    _us(108, "DENVER", "CO", "303"),
    _canada(201, "TORONTO", "ON", "416"),
    _canada(202, "VANCOUVER", "BC", "604"),
)
FOREIGN_CITIES = (
    City(301, "LONDON", None, "United Kingdom", "GB", "4420"),
    City(302, "BERLIN", None, "Germany", "DE", "4930"),
    City(303, "AMSTERDAM", None, "Netherlands", "NL", "3120"),
)
SMS_COUNTRIES = frozenset({"US", "CA"})
"""The countries with inbound SMS."""

_LABELS = ("support", "sales", "billing", "alerts", None, None, None, None)
_THRESHOLDS = (6, 10, 12, 30)
_TRUNKS = ((3107, "32882", "Main office"), (3108, "32883", "Call center"), (3110, "41200", "Backup"))

_MASK = (1 << 64) - 1
# Coprime to MAX_NUMBERS (odd and not a multiple of 5), so no two phone numbers end in the same subscriber digits.
_STEP = 7_368_787
_BACK = pow(_STEP, -1, MAX_NUMBERS)


def _bits(seed: int, index: int) -> int:
    """Return 64 well-mixed bits (splitmix64), ten times cheaper than a new Random for each number."""
    x = (seed * 0xD1342543DE82EF95 + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def document(doc_id: int, number_id: int, phone: str, kind: int, base_url: str, **fields: Any) -> dict[str, Any]:
    """Return a document in wire form, with its type both as the older id and as the newer name."""
    return {
        "id": doc_id,
        "allow_replace": False,
        "did_number": phone,
        "doc_content_type": "image/png",
        "doc_file_name": "Copy of ID.png",
        "doc_type_id": kind,
        "doc_type": DOC_TYPES[kind][0],
        "status": "pending",
        "url": f"{base_url}/v1/numbers/{number_id}/papers/{doc_id}",
        **fields,
    }


@frozen
class Fleet:
    """The numbers of an account in their initial state."""

    seed: int
    count: int
    foreign: float

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.count <= MAX_NUMBERS:
            raise ValueError(f"numbers must be from 0 to {MAX_NUMBERS:,}, not {self.count!r}")
        if not 0 <= self.foreign <= 1:
            raise ValueError(f"foreign must be a share from 0 to 1, not {self.foreign!r}")

    def city(self, index: int) -> City:
        bits = _bits(self.seed, index)
        if self.foreign and (bits >> 40) / (1 << 24) < self.foreign:
            return FOREIGN_CITIES[bits % len(FOREIGN_CITIES)]
        return HOME_CITIES[bits % len(HOME_CITIES)]

    def phone(self, index: int) -> str:
        return f"{self.city(index).prefix}{self._subscriber(index)}"

    def label(self, index: int) -> str | None:
        return _LABELS[(_bits(self.seed, index) >> 8) % len(_LABELS)]

    def index_of(self, phone: str) -> int | None:
        """Return the index of a phone number, or None if the account never had it."""
        tail = phone[-7:]
        if not (tail.isascii() and tail.isdigit()):
            return None
        index = (int(tail) - 2_000_000 - self.seed) * _BACK % MAX_NUMBERS
        return index if index < self.count and self.phone(index) == phone else None

    def _subscriber(self, index: int) -> int:
        return 2_000_000 + (index * _STEP + self.seed) % MAX_NUMBERS

    def record(self, index: int, base_url: str) -> dict[str, Any]:
        """Build number `index` in wire form.

        Every number starts with SMS off, so that a test can count the numbers for which a run has enabled it.
        """
        bits = _bits(self.seed, index)
        city = self.city(index)
        number_id = FIRST_ID + index
        phone = f"{city.prefix}{self._subscriber(index)}"
        more = bits >> 12
        needs_paper = more % 16 == 0
        day = 1 + more % 28
        return {
            "id": number_id,
            "number": phone,
            "activation_fee": "0.00" if more % 4 else "0.99",
            "monthly_fee": f"{more % 3}.99",
            "per_min": f"0.0{1 + more % 9}",
            "city": city.name,
            "state": city.state,
            "country": city.country,
            "country_short_name": city.country_code,
            "destination": _destinations(index, phone, bits >> 20),
            "channels": 2 + 2 * (more % 12),
            "require_docs": ["address"] if needs_paper else [],
            "documents": [_first_document(index, phone, base_url)] if needs_paper else [],
            "domestic_cli": more % 5 != 0,
            "free_min": 100 * (more % 3),
            "unlimited": more % 7 == 0,
            "label": _LABELS[(bits >> 8) % len(_LABELS)],
            "status": "inactive" if more % 32 == 0 else "active",
            "seconds": str(more % 90_000),
            "added": f"{2019 + more % 7}-{1 + more % 12:02}-{day:02}T{more % 24:02}:{bits % 60:02}:{more % 60:02}.000Z",
            "paid_until": f"2027-{1 + bits % 12:02}-{day:02}",
            "sms_enabled": False,
            "sms_relay_url": f"https://sms.example.com/{number_id}" if more % 4 == 1 else None,
            "cnam": (True, False, None)[more % 3],
            "call_recording_enabled": more % 2 == 0,
            "transcription_enabled": more % 6 == 0,
            "transcription_threshold": _THRESHOLDS[bits % 4],
            "call_status_url": f"https://calls.example.com/{number_id}" if more % 3 == 1 else None,
        }


def _destinations(index: int, phone: str, bits: int) -> list[dict[str, Any]]:
    first = 2 * index + 1
    if bits % 3 == 0:
        trunk_id, login, label = _TRUNKS[bits % len(_TRUNKS)]
        routes = [routed(first, login, 1, 5, trunk_id, label)]
    else:
        routes = [routed(first, "[did]@sip.example.com", 1, 1)]
    if bits % 4 == 0:
        routes.append(routed(first + 1, f"1415{phone[-7:]}", 2, 4))
    return routes


def routed(
    route_id: int,
    destination: str,
    priority: int,
    transport: int,
    trunk_id: int | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """Return a destination in the form of a response."""
    return {
        "id": route_id,
        "destination": destination,
        "priority": priority,
        "transport": transport,
        "trunk_id": trunk_id,
        "srtp": False,
        "trunk_label": label,
    }


def trunk_label(trunk_id: int) -> str:
    """Return the name of a trunk; a trunk that the generated numbers do not use gets a name from its id."""
    return next((label for known, _, label in _TRUNKS if known == trunk_id), f"Trunk {trunk_id}")


def _first_document(index: int, phone: str, base_url: str) -> dict[str, Any]:
    status = ("approved", "pending", "rejected")[index % 3]
    paper = document(index + 1, FIRST_ID + index, phone, 2, base_url, status=status, allow_replace=status == "rejected")
    # The live API moved from `doc_type_id` to `doc_type`, so a document may have both fields or either one.
    if index % 4 == 1:
        del paper["doc_type"]
    elif index % 4 == 2:
        del paper["doc_type_id"]
    return paper
