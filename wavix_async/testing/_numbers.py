"""Samples of the models of phone numbers, and factories for them."""

from collections.abc import Mapping

from wavix_async.models.numbers import DocumentType, InboundCallDestination, Number, NumberDocument, NumberPage
from wavix_async.testing._make import make, register_sample

__all__ = ["make_destination", "make_document", "make_number"]


@register_sample(Number)
def _number(nth: int) -> Mapping[str, object]:
    return {
        "id": nth,
        "number": f"1415555{nth % 10_000:04}",
        "activation_fee": "0.00",
        "monthly_fee": "1.99",
        "per_min": "0.01",
        "city": "SAN FRANCISCO, CA",
        "state": "CA",
        "country": "United States",
        "country_short_name": "US",
        "destination": [make(InboundCallDestination)],
        "channels": 10,
        "domestic_cli": True,
        "free_min": 0,
        "unlimited": False,
        "seconds": "0",
        "cnam": False,
        "transcription_threshold": 6,
    }


@register_sample(InboundCallDestination)
def _destination(nth: int) -> Mapping[str, object]:
    return {"id": nth, "destination": "[did]@sip.example.com", "priority": 1, "transport": 1, "srtp": False}


@register_sample(NumberDocument)
def _document(nth: int) -> Mapping[str, object]:
    return {
        "id": nth,
        "did_number": f"1415555{nth % 10_000:04}",
        "doc_content_type": "image/png",
        "doc_file_name": "Copy of ID.png",
        "doc_type_id": 1,
        "doc_type": "id",
        "status": "pending",
        "url": f"https://api.wavix.com/v1/numbers/1001/papers/{nth}",
    }


@register_sample(NumberPage)
def _page(_: int) -> Mapping[str, object]:
    kinds = {"id": "Proof of identity", "address": "Proof of address", "localaddress": "Proof of local address"}
    return {
        "doc_types": [
            make(DocumentType, id=at, name=name, title=title) for at, (name, title) in enumerate(kinds.items(), start=1)
        ]
    }


def make_number(**fields: object) -> Number:
    """Make a phone number: active, in the US, without SMS, with one SIP destination.

    Args:
        **fields: Values to set, as for `make`.

    Returns:
        The number; each call gives the next `id` and `number`.

    Raises:
        TypeError: There is no such field, or the API does not document such a value.
    """
    return make(Number, **fields)


def make_destination(**fields: object) -> InboundCallDestination:
    """Make a destination of inbound calls, as in an API response: a SIP URI.

    Args:
        **fields: Values to set, as for `make`.

    Returns:
        The destination.

    Raises:
        TypeError: There is no such field, or the API does not document such a value.
    """
    return make(InboundCallDestination, **fields)


def make_document(**fields: object) -> NumberDocument:
    """Make a document uploaded for a number: a proof of identity that waits for review.

    Args:
        **fields: Values to set, as for `make`.

    Returns:
        The document.

    Raises:
        TypeError: There is no such field, or the API does not document such a value.
    """
    return make(NumberDocument, **fields)
