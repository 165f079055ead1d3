"""Validations of phone numbers: `/v1/validation`."""

import os
from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Final

from wavix_async._http import Operation
from wavix_async.models.validation import (
    PhoneValidation,
    PhoneValidationBatch,
    PhoneValidationBatchCreate,
    PhoneValidationQuery,
    ValidationType,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until

if TYPE_CHECKING:
    from wavix_async.bulk import BulkProgress
    from wavix_async.resources._validation_run import ValidationRun

__all__ = ["Validation"]

# A GET that costs money: it must not be repeated.
VALIDATE: Final = Operation("GET", "/v1/validation", PhoneValidation, scope="validator:read", idempotent=False)
CREATE: Final = Operation(
    "POST",
    "/v1/validation",
    PhoneValidationBatch,
    scope="validator:write",
    proof=("request_uuid", "request_id", "items"),
)
GET: Final = Operation("GET", "/v1/validation/{request_id}", PhoneValidationBatch, scope="validator:read")


class Validation(Resource):
    """Validations of phone numbers: `/v1/validation`."""

    _ids = (TextId("request_id", "PhoneValidationBatch.id"),)

    async def validate(self, phone_number: str, *, type: ValidationType | str) -> PhoneValidation:  # noqa: A002
        """Validate one phone number (GET /v1/validation). It costs money, so it is never sent twice.

            found = await wavix.validation.validate("+1 (512) 555-0143", type="analysis")
            print(found.valid, found.carrier_name, found.charge)

        A number that cannot be validated is a result with an `error_code`, not an error. Scope `validator:read`.

        Args:
            phone_number: The phone number, with country code, in any usual spelling.
            type: What to find out: `format`, `analysis` or `validation`.

        Raises:
            InputError: An argument has the wrong type.
            OutcomeUnknownError: There is no answer; the validation may have been charged.
        """
        return await self._call(VALIDATE, query=PhoneValidationQuery(phone_number=phone_number, type=type))

    @unpack(PhoneValidationBatchCreate)
    async def create(self, batch: PhoneValidationBatchCreate) -> PhoneValidationBatch:
        """Validate up to 1,000 phone numbers (POST /v1/validation). Each costs money, so it is never sent twice.

        With `async_=True` the answer has only the id of the batch: `wait` waits for its results. `run` takes any number
        of phone numbers, and does both. Scope `validator:write`.

        Raises:
            InputError: A field has the wrong type, or there are no numbers, or more than 1,000.
            OutcomeUnknownError: There is no answer, or it shows neither results nor an id; the numbers may have been
                charged.
        """
        return await self._call(CREATE, body=batch)

    async def get(self, request_id: str) -> PhoneValidationBatch:
        """Read an asynchronous batch (GET /v1/validation/{request_id}).

        Scope `validator:read`; it only reads and costs nothing, so the client may repeat it.

        Args:
            request_id: The batch's id (`PhoneValidationBatch.id`).

        Raises:
            NotFoundError: There is no such batch.
        """
        return await self._call(GET, request_id)

    async def wait(
        self, request_id: str, *, every: tuple[float, float] = (1.0, 10.0), timeout: float | None = 600.0
    ) -> PhoneValidationBatch:
        """Wait until a batch is finished (GET /v1/validation/{request_id} until it is).

            batch = await wavix.validation.create(phone_numbers=numbers, type="analysis", async_=True)
            batch = await wavix.validation.wait(batch.id)

        The reads are in the bulk lane: other calls go first. Scope `validator:read`.

        Args:
            request_id: The batch's id (`PhoneValidationBatch.id`).
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.

        Returns:
            The batch, finished well or badly: look at its `status`.

        Raises:
            WaitTimeoutError: The batch is not finished in time; `last` is the batch as it was read last.
            ConfigurationError: `every` or `timeout` is out of range.
            NotFoundError: There is no such batch.
        """
        return await wait_until(
            self._client,
            lambda client: Validation(client).get(request_id),
            lambda batch: batch.is_final,
            what=f"validation {request_id} is finished",
            every=every,
            timeout=timeout,
        )

    def run(
        self,
        numbers: Iterable[str] | AsyncIterable[str],
        *,
        type: ValidationType | str,  # noqa: A002
        force: bool = False,
        concurrency: int = 4,
        batch_size: int = 1000,
        in_order: bool = False,
        journal: str | os.PathLike[str] | None = None,
        every: tuple[float, float] = (1.0, 10.0),
        timeout: float | None = 600.0,
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: str | os.PathLike[str] | None = None,
    ) -> "ValidationRun":
        """Validate any number of phone numbers, none of them twice, and get a result for each (POST /v1/validation).

            run = wavix.validation.run(numbers, type="analysis", journal="numbers.sqlite")
            async for result in run:
                print(result.id, result.value.valid if result.ok else result.error)
            print(run.report, run.report.charged)

        Nothing is sent until you await the run or iterate over it. It sends asynchronous batches, waits for
        each (GET /v1/validation/{request_id}), and yields results as they arrive. Each number ends as `done` (a number
        that is not valid, too), `failed`, `unknown` or `not_sent`. A batch whose answer is lost is never sent again:
        its numbers are `unknown`, and may have been charged. A second occurrence of a number fails, in whatever
        spelling: its first has the result.

        A number fails if its lookup failed (`error_code` 013, 041, 042) or if the money is used up (091). The last, and
        a 401, 402, 403, "Insufficient funds" or an API out of reach, stop the run.

        Memory depends on the batches in flight, not on the count of numbers. Scopes `validator:write` and
        `validator:read`. Each number costs money.

        Args:
            numbers: Phone numbers, with country code, in any usual spelling. An iterable or an async iterable.
            type: What to find out: `format`, `analysis` or `validation`.
            force: Whether to look numbers up again that the API has looked up lately.
            concurrency: How many batches may be in flight at once. Default 4.
            batch_size: The most numbers of one request, at most 1,000. A lost answer leaves all numbers of its batch
                unknown: smaller batches risk less, and take more requests.
            in_order: Whether results come in the order of the numbers. Default: as they arrive.
            journal: A file that makes the run safe against a kill. Call `run` again with the same numbers, in the same
                order, and the same journal: it reads the results of batches that were sent, sends those that were not,
                and reports on all numbers. Batches that may have been sent, and have no id, stay `unknown`. The file
                has fingerprints, ids and results. Default None: no journal.
            every: The first and the longest interval between two reads of a batch, in seconds.
            timeout: Seconds to wait for a batch at most; its numbers without a result are then `unknown`. None: no
                limit.
            on_progress: Called with a `BulkProgress` after each batch, and at the end.
            failures_to: A file for all failures, because the report keeps only the first 1,000: CSV if its name ends in
                `.csv`, otherwise one JSON object per line.

        Returns:
            The run. Its report has `charged`: what the answers said that the validations cost, in USD.

        Raises:
            InputError: `numbers` is one text or not iterable, or `type` has the wrong type.
            ConfigurationError: `concurrency`, `batch_size`, `every` or `timeout` is out of range. When the run starts:
                `failures_to` cannot be written.
            JournalError: When the run starts, before it sends anything: the journal is in use, damaged or a copy, or
                belongs to other numbers, another key or another account.
        """
        # Only the first run loads this module.
        from wavix_async.resources._validation_run import ValidationRun

        return ValidationRun(
            self._client,
            numbers,
            create=CREATE,
            wait=lambda client, request_id: Validation(client).wait(request_id, every=every, timeout=timeout),
            type=type,
            force=force,
            concurrency=concurrency,
            batch_size=batch_size,
            in_order=in_order,
            journal=journal,
            limits=(every, timeout),
            failures_to=failures_to,
            on_progress=on_progress,
        )
