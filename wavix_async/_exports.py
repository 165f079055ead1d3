"""All public names of `wavix_async`; `__init__` takes a name from here on first use.

A module whose whole `__all__` is public is imported with `*`, so a new error or a new model is listed in one place.
"""

from wavix_async._aio import StopSignal as StopSignal
from wavix_async._codec import Drift as Drift
from wavix_async._codec import Segments as Segments
from wavix_async._codec import from_dict as from_dict
from wavix_async._codec import segments as segments
from wavix_async._codec import to_dict as to_dict
from wavix_async._http import Download as Download
from wavix_async._http import Export as Export
from wavix_async._http import Operation as Operation
from wavix_async._http import Receipt as Receipt
from wavix_async._http import Recording as Recording
from wavix_async._http import SavedFile as SavedFile
from wavix_async._instrumentation import AttemptEvent as AttemptEvent
from wavix_async._instrumentation import AttemptStart as AttemptStart
from wavix_async._instrumentation import BulkEvent as BulkEvent
from wavix_async._instrumentation import BulkStart as BulkStart
from wavix_async._instrumentation import DriftEvent as DriftEvent
from wavix_async._instrumentation import Event as Event
from wavix_async._instrumentation import Observer as Observer
from wavix_async._instrumentation import PauseEvent as PauseEvent
from wavix_async._instrumentation import RateEvent as RateEvent
from wavix_async._instrumentation import RetryEvent as RetryEvent
from wavix_async._instrumentation import Tracer as Tracer
from wavix_async._instrumentation import WebhookAnswerEvent as WebhookAnswerEvent
from wavix_async._instrumentation import WebhookHandlerEvent as WebhookHandlerEvent
from wavix_async._instrumentation import WebhookHandlerStart as WebhookHandlerStart
from wavix_async._ratelimit import LimitSnapshot as LimitSnapshot
from wavix_async._version import __version__ as __version__
from wavix_async.bulk import *  # noqa: F403 - __all__ lists the names, here and below
from wavix_async.client import ClientOptions as ClientOptions
from wavix_async.client import WavixClient as WavixClient
from wavix_async.config import RetryPolicy as RetryPolicy
from wavix_async.config import Timeouts as Timeouts
from wavix_async.errors import *  # noqa: F403
from wavix_async.models.common import Page as Page
from wavix_async.models.common import Pagination as Pagination
from wavix_async.models.common import Success as Success
from wavix_async.models.numbers import *  # noqa: F403
from wavix_async.resources import Paginator as Paginator
from wavix_async.types import *  # noqa: F403

TYPE_CHECKING = False
if not TYPE_CHECKING:  # type checkers know the names from the imports
    __all__ = ["__version__", *sorted(name for name in globals() if name[0].isalpha() and name != "TYPE_CHECKING")]
