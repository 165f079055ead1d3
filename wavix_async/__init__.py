"""The asyncio SDK for the Wavix telecom API.

    async with WavixClient() as wavix:
        number = await wavix.numbers.update(123, sms_enabled=True)
        report = await wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(sms_enabled=True)))

`wavix_async.errors` shows the tree of exceptions; all of them can be imported from here.
"""

# Loading the whole package takes a fifth of a second, mostly for aiohttp. A program that imports a part (pytest loads
# the test plugin in every run, for any project) does not load the rest.
from wavix_async._version import __version__ as __version__

TYPE_CHECKING = False  # typing is slow to import, and type checkers know this name
if TYPE_CHECKING:
    from wavix_async._exports import *  # noqa: F403 - __all__ lists the names

else:

    def __getattr__(name: str) -> object:
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        # Most programs first use names of these modules, so only these are loaded for them.
        for part in ("client", "errors", "types", "models.numbers"):
            module = importlib.import_module(f"{__name__}.{part}")
            if name in module.__all__:
                return globals().setdefault(name, getattr(module, name))
        from wavix_async import _exports

        # Keep names that are already set: a test may have replaced one.
        for each in ("__all__", *_exports.__all__):
            globals().setdefault(each, getattr(_exports, each))
        try:
            return globals()[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})


del TYPE_CHECKING
