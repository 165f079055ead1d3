"""2FA codes: no repr, error, log or receipt shows one."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests.resources.rows.two_fa import ID
from wavix_async import InputError, RateLimitError, WavixClient
from wavix_async.models import TwoFactorVerificationCheck

if TYPE_CHECKING:
    from tests.conftest import Api

CODE = "481516"
PATH = f"/v1/two-fa/verification/{ID}/check"


async def test_nothing_shows_a_code(api: Api, wavix: WavixClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    check: Any = wavix.two_fa.verification.check
    body = TwoFactorVerificationCheck(code=CODE)
    shown = [repr(body), repr(pickle.loads(pickle.dumps(body)))]

    with pytest.raises(InputError) as wrong:
        await check(ID, code=int(CODE))
    with pytest.raises(InputError) as by_position:
        await check(ID, CODE)
    api.answer("POST", PATH, {"success": False, "message": "The maximum number of attempts was used"}, status=429)
    with pytest.raises(RateLimitError) as used_up:
        await check(ID, code=CODE)
    api.answer("POST", PATH, {"is_valid": True})
    receipt = await wavix.receipt(check(ID, code=CODE))

    shown += [f"{error.value!r} {error.value} {error.value.details}" for error in (wrong, by_position, used_up)]
    shown += [repr(receipt), caplog.text]
    assert not [text for text in shown if CODE in text]
    assert receipt.value.is_valid
    assert used_up.value.attempts == 1
