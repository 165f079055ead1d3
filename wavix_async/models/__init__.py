"""Models of requests and answers, one module for each group of operations.

A model is public if the `__all__` of its module lists it. A module is loaded when one of its names is first used.
Derive your own models from the base classes here: `Operation("GET", "/v1/...", MyModel)`.
"""

from wavix_async.models._base import Body as Body
from wavix_async.models._base import CaseBlindStrEnum as CaseBlindStrEnum
from wavix_async.models._base import Model as Model
from wavix_async.models._base import OpenIntEnum as OpenIntEnum
from wavix_async.models._base import OpenStrEnum as OpenStrEnum
from wavix_async.models._base import PageBody as PageBody
from wavix_async.models._base import PageQuery as PageQuery
from wavix_async.models._base import Query as Query

TYPE_CHECKING = False  # typing is slow to import, and type checkers know this name
if TYPE_CHECKING:
    from wavix_async.models.api_keys import *  # noqa: F403 - __all__ lists the names
    from wavix_async.models.billing import *  # noqa: F403
    from wavix_async.models.buy import *  # noqa: F403
    from wavix_async.models.calls import *  # noqa: F403
    from wavix_async.models.cdrs import *  # noqa: F403
    from wavix_async.models.common import *  # noqa: F403
    from wavix_async.models.events import *  # noqa: F403
    from wavix_async.models.messages import *  # noqa: F403
    from wavix_async.models.numbers import *  # noqa: F403
    from wavix_async.models.profile import *  # noqa: F403
    from wavix_async.models.recordings import *  # noqa: F403
    from wavix_async.models.short_links import *  # noqa: F403
    from wavix_async.models.speech_analytics import *  # noqa: F403
    from wavix_async.models.sub_organizations import *  # noqa: F403
    from wavix_async.models.ten_dlc.brands import *  # noqa: F403
    from wavix_async.models.ten_dlc.campaigns import *  # noqa: F403
    from wavix_async.models.ten_dlc.statuses import *  # noqa: F403
    from wavix_async.models.trunks import *  # noqa: F403
    from wavix_async.models.two_fa import *  # noqa: F403
    from wavix_async.models.validation import *  # noqa: F403
    from wavix_async.models.voice_campaigns import *  # noqa: F403
    from wavix_async.models.webrtc import *  # noqa: F403

else:

    def __getattr__(name):
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from wavix_async.models._index import names

        found = names(__name__, globals()["__path__"])
        if name == "__all__":
            from wavix_async.models import _base

            return sorted({*found, *_base.__all__})
        if name not in found:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_close(name, found)}")
        import importlib

        return globals().setdefault(name, getattr(importlib.import_module(found[name]), name))

    def _close(name, known):
        import difflib

        close = difflib.get_close_matches(name, known, n=1)
        return f"; did you mean {close[0]!r}?" if close else ""

    def __dir__():
        return sorted({*globals(), *__getattr__("__all__")})


del TYPE_CHECKING
