"""Hide the API key: it must not reach an error, an event or a log, even if a server repeats it."""

from typing import Any, Final

import attrs

from wavix_async._codec import AnswerBase, Drift, decode, to_dict
from wavix_async._http.response import Response
from wavix_async.config import HiddenBytes, Secret
from wavix_async.errors import OutcomeUnknownError, WavixError

__all__ = ["Redactor"]

_SHORTEST_KEY: Final = 8
"""Characters. A shorter key is not real: a test uses a short word, which any answer may contain."""


class Redactor:
    """Replaces the key of one client by `<hidden>`, only in failed calls and in answers with drift."""

    __slots__ = ("_bytes", "_escaped", "_key")

    def __init__(self, api_key: Secret) -> None:
        key = api_key if len(api_key) >= _SHORTEST_KEY else Secret("")
        self._key = key
        self._bytes = HiddenBytes(key.encode())
        # JSON may write a slash as two characters (PHP does).
        self._escaped = Secret(key.replace("/", "\\/"))

    def hide(self, value: Any) -> Any:
        """Return a text, a parsed JSON value or a model without the key."""
        if not self._key:
            return value
        if isinstance(value, str):
            return value.replace(self._key, "<hidden>").replace(self._escaped, "<hidden>")
        if isinstance(value, list | tuple):
            return type(value)(map(self.hide, value))
        if isinstance(value, dict):
            return {self.hide(name): self.hide(item) for name, item in value.items()}
        if isinstance(value, AnswerBase):
            payload = to_dict(value)
            hidden = self.hide(payload)
            return value if hidden == payload else decode(type(value), hidden)[0]
        return value

    def response(self, response: Response) -> Response:
        """Return the response, or a copy without the key if its body holds the key."""
        if not self._bytes or response.body.find(self._bytes) < 0:
            return response
        body = response.body.replace(self._bytes, b"<hidden>")
        return Response(response.status, response.headers, body, response.request)

    def error(self, error: WavixError) -> None:
        """Hide the key in every text that an error shows."""
        for name in ("message", "code", "reason", "request_id"):
            setattr(error, name, self.hide(getattr(error, name)))
        error.args = (error.message,)
        for name in ("details", "answer") if isinstance(error, OutcomeUnknownError) else ("details",):
            try:
                setattr(error, name, self.hide(getattr(error, name)))
            except RecursionError:
                setattr(error, name, None)

    def drift(self, drift: Drift) -> Drift:
        """Return a drift whose field and path do not show the key."""
        return attrs.evolve(drift, field=self.hide(drift.field), path=self.hide(drift.path))
