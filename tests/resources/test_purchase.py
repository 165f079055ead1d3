"""`buy.purchase` against the sandbox: nothing is charged twice, and every number has one true outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from wavix_async import InputError, NotFoundError, PermissionDeniedError, RetryPolicy, WavixClient, WavixError
from wavix_async.sandbox import Sandbox
from wavix_async.testing import skip_waits

pytestmark = [pytest.mark.req_01, pytest.mark.req_17, pytest.mark.req_37]

CHECKOUT = "POST /v1/buy/cart/checkout"
DETROIT = ("13131000001", "13131000002", "13131000003")
LONDON = "44201000001"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=3, balance=20) as running:
        yield running


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy.none()) as client:
        skip_waits(client, sandbox.advance)
        yield client


def owned(sandbox: Sandbox) -> Counter[str]:
    """How often each number that was bought is there, and that each was paid for once."""
    found = Counter(record["number"] for number_id, record in sandbox.numbers.items() if number_id > 1003)
    paid = Counter(row["details"].rpartition(" ")[2] for row in sandbox.transactions.values() if row["type"] == 3)
    assert found == paid
    return found


async def test_numbers_are_bought_at_the_price_of_the_cart(sandbox: Sandbox, wavix: WavixClient) -> None:
    bought = await wavix.buy.purchase(["+1 (313) 100-0001", DETROIT[0], LONDON], max_price=Decimal("9.50"))

    assert bought.ok
    assert bought.error is None
    assert (bought.bought, bought.charged) == ((DETROIT[0], LONDON), Decimal("9.50"))
    assert sandbox.balance == Decimal("10.50")
    assert owned(sandbox) == {DETROIT[0]: 1, LONDON: 1}
    assert [row["type"] for row in sandbox.transactions.values()] == [3, 2, 3]
    assert not sandbox.cart


async def test_a_price_that_is_too_high_buys_nothing_and_leaves_the_cart(sandbox: Sandbox, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match=r"the numbers cost 9\.50 USD, and max_price is 9\.49"):
        await wavix.buy.purchase([DETROIT[0], LONDON], max_price="9.49")

    assert not sandbox.cart
    assert not sandbox.requests_to(CHECKOUT)


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
async def test_a_lost_answer_of_the_checkout(sandbox: Sandbox, wavix: WavixClient, fault: str) -> None:
    """What the account has was bought; what it has not may yet be bought."""
    sandbox.fail_next(fault, 1, CHECKOUT)

    result = await wavix.buy.purchase(DETROIT, max_price=10)

    is_bought = fault == "reset_after"
    assert result.bought == (DETROIT if is_bought else ())
    assert result.unknown == (() if is_bought else DETROIT)
    assert result.charged == (3 if is_bought else 0)
    assert result.error is not None
    assert result.error.outcome == "unknown"
    assert len(sandbox.requests_to(CHECKOUT)) == 1
    assert owned(sandbox) == dict.fromkeys(result.bought, 1)


async def test_a_lost_answer_of_the_cart_is_looked_up(sandbox: Sandbox, wavix: WavixClient) -> None:
    sandbox.fail_next("reset_after", 1, "PUT /v1/buy/cart")
    assert (await wavix.buy.purchase(DETROIT, max_price=3)).ok

    sandbox.fail_next("reset_before", 1, "PUT /v1/buy/cart")
    with pytest.raises(InputError, match=f"the cart lacks {LONDON}. Try again, or choose others."):
        await wavix.buy.purchase([LONDON], max_price=10)


async def test_a_checkout_that_buys_some_numbers(sandbox: Sandbox, wavix: WavixClient) -> None:
    """One number is gone, one is too dear for the balance, and the others are bought."""
    await wavix.buy.purchase(["44201000002"], max_price=20)

    def sell(method: str, path: str) -> bool:
        if f"{method} {path}" == CHECKOUT:
            sandbox.sell(DETROIT[1])
        return False

    sandbox.fail_next("reset_after", 1, sell)  # never: only to act before the checkout

    result = await wavix.buy.purchase([*DETROIT, LONDON, "44201000003"], max_price=30)

    assert (result.bought, result.refused, result.unknown) == (
        (DETROIT[0], DETROIT[2], LONDON),
        (DETROIT[1], "44201000003"),
        (),
    )
    assert result.charged == Decimal("10.50")
    assert not result.ok
    assert result.error is not None
    assert result.error.details == {
        "error": "Some phone numbers are not available",
        "error_dids": [DETROIT[1], "44201000003"],
    }
    assert owned(sandbox) == dict.fromkeys(("44201000002", *result.bought), 1)
    assert {record["number"] for record in sandbox.cart} == set(result.refused)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(404, NotFoundError), (403, PermissionDeniedError)],
)
async def test_a_refusal_before_the_checkout_is_an_error(
    sandbox: Sandbox, wavix: WavixClient, fault: int, kind: type[WavixError]
) -> None:
    sandbox.fail_next(fault, 1, "PUT /v1/buy/cart")
    with pytest.raises(kind):
        await wavix.buy.purchase(DETROIT, max_price=10)
    assert not owned(sandbox)


async def test_arguments_that_buy_nothing(sandbox: Sandbox, wavix: WavixClient) -> None:
    purchase: Any = wavix.buy.purchase
    for ids in ([], "13131000001", None, 5):
        with pytest.raises(InputError, match="ids must"):
            await purchase(ids, max_price=10)
    for price in (True, "free", "nan", -1, 0.5, None):
        with pytest.raises(InputError, match="max_price must be an amount"):
            await purchase(DETROIT, max_price=price)
    assert not sandbox.requests
