"""Other shapes of answers and events that the API was seen to send, which its description does not show.

A client must read them all. Each is named in the vendor's guides or in code that users published.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from wavix_async.sandbox._server.response import Reply

_PLACEHOLDER = re.compile(r"\{\w+\}")
Json = dict[str, Any]


# --- answers ---


def _wrapped(key: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        reply.payload = b'{"%s":%s}' % (key.encode(), reply.payload)

    return change


def _bare(key: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        reply.payload = json.dumps(json.loads(reply.payload)[key]).encode()

    return change


def _lone_object(reply: Reply) -> None:
    """Give the only object of a list in place of the list."""
    answer = json.loads(reply.payload)
    if len(answer) == 1:
        reply.payload = json.dumps(answer[0]).encode()


def _with_details(reply: Reply) -> None:
    details = {"status": "pending", "message": "The number is submitted"}
    reply.payload = json.dumps({**json.loads(reply.payload), **details}).encode()


def _no_content(reply: Reply) -> None:
    reply.code, reply.payload = 204, b""


def _empty(reply: Reply) -> None:
    reply.payload = b""


def _other_success(reply: Reply) -> None:
    reply.code = 200 if reply.code == 201 else 201


def _turns_with_numbers(reply: Reply) -> None:
    """Name the speaker of a turn by `phone_number`, not by `type`."""
    answer = json.loads(reply.payload)
    for turn in answer.get("turns") or ():
        if isinstance(turn, dict) and "type" in turn:
            turn["phone_number"] = turn.pop("type")
    reply.payload = json.dumps(answer).encode()


def _request_uuid(reply: Reply) -> None:
    """Name the id of a batch as the guides do, and not as the description does."""
    answer = json.loads(reply.payload)
    if "request_id" in answer:
        answer["request_uuid"] = answer.pop("request_id")
    reply.payload = json.dumps(answer).encode()


def _no_keys(reply: Reply) -> None:
    """Leave API keys out, instead of masking them."""
    answer = json.loads(reply.payload)
    for key in answer if isinstance(answer, list) else [answer]:
        del key["value"]
    reply.payload = json.dumps(answer).encode()


def _null_for_nothing(reply: Reply) -> None:
    """Write an empty list of SIP trunks as null."""
    answer = json.loads(reply.payload)
    answer["sip_trunks"] = answer["sip_trunks"] or None
    reply.payload = json.dumps(answer).encode()


_ANSWERS: Mapping[str, Callable[[Reply], None]] = {
    "GET /v3/messages/{}": _wrapped("message"),
    "POST /v3/messages": _other_success,
    "POST /v3/messages/sender-ids": _other_success,
    "DELETE /v3/messages/sender-ids/{}": _no_content,
    "POST /v3/messages/opt-outs": _no_content,
    "POST /v1/speech-analytics": _other_success,
    "POST /v1/validation": _request_uuid,
    "PATCH /v1/two-fa/verification/{}/cancel": _no_content,
    "PUT /v1/cdrs/{}/retranscribe": _empty,
    "GET /v1/cdrs/{}/transcription": _turns_with_numbers,
    "GET /v1/cdrs/{}/transcriptions": _turns_with_numbers,
    "GET /v3/10dlc/brands/{}/evidence": _bare("items"),
    "GET /v3/10dlc/brands/{}/vettings/appeals": _lone_object,
    "POST /v3/10dlc/brands/{}/campaigns/{}/numbers/{}": _with_details,
    "GET /v1/api-keys": _no_keys,
    "PATCH /v1/api-keys/{}": _no_keys,
    "GET /v1/trunks": _null_for_nothing,
}


# --- events ---


def _call(body: Json, dice: random.Random) -> Json:
    body = dict(body)
    if "event_type" in body:
        body[dice.choice(("event_type", "event", "type"))] = body.pop("event_type")
    key = dice.choice(("id", "uuid", "call_id", "call.id", "data.call_id", "data.uuid"))
    for name in ("uuid", "id"):
        if name in body:
            outer, _, inner = key.partition(".")
            value = body.pop(name)
            body[outer] = {inner: value} if inner else value
            break
    return body


def _report(body: Json, _: random.Random) -> Json:
    body = {name: value for name, value in body.items() if name not in ("charge", "carrier_fees")}
    for name in ("sent", "delivered"):
        if isinstance(body.get(name), str):
            body[name] = body[name][:19]  # a time without a zone
    return body


def _inbound(body: Json, _: random.Random) -> Json:
    content = body.get("message_body")
    if isinstance(content, dict):
        return {**body, "message_body": {**content, "media": content.get("media") or None}}
    return body


_EVENTS: Mapping[str, Callable[[Json, random.Random], Json]] = {
    "on_call": _call,
    "dlr": _report,
    "message": _inbound,
}


class Variants:
    """Gives a share of the answers and events another shape.

    Args:
        share: The chance, from 0 to 1.
        seed: Makes the choice repeatable.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._seed = seed
        self._dice = random.Random()  # noqa: S311 - `reset` seeds it
        self.reset()

    def reset(self) -> None:
        """Restart the random generator."""
        self._dice = random.Random(f"{self._seed} variants")  # noqa: S311 - repeatable, not secret

    def change_answer(self, operation: str, reply: Reply) -> None:
        """Give a successful answer to an operation another shape, or leave it."""
        change = _ANSWERS.get(_PLACEHOLDER.sub("{}", operation))
        if change is not None and 200 <= reply.code < 300 and self._dice.random() < self._share:
            change(reply)

    def change_event(self, kind: str, body: Json) -> Json:
        """Return the body of an event, perhaps in another shape and with a key that no one expects."""
        if self._dice.random() >= self._share:
            return body
        change = _EVENTS.get(kind)
        return {**(body if change is None else change(body, self._dice)), "added_later": {"by": "the API"}}
