"""The asyncio SDK for the Wavix telecom API.

    async with WavixClient() as wavix:
        number = await wavix.numbers.update(123, sms_enabled=True)
        report = await wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(sms_enabled=True)))

`wavix_async.errors` draws the tree of exceptions; all of them are importable from here.
"""

# Loading all of it takes a fifth of a second, most of it aiohttp's. Who imports a part (the test plugin is loaded into
# every run of pytest, whatever is tested) does not pay for the rest.
from wavix_async._version import __version__ as __version__

TYPE_CHECKING = False  # typing is slow to import, and the checkers know the name
if TYPE_CHECKING:
    from wavix_async._exports import *  # noqa: F403 - __all__ says what

else:

    def __getattr__(name: str) -> object:
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        # Most programs begin with names of these; the rest of the package is not loaded for them.
        for part in ("client", "errors", "types", "models.numbers"):
            module = importlib.import_module(f"{__name__}.{part}")
            if name in module.__all__:
                return globals().setdefault(name, getattr(module, name))
        from wavix_async import _exports

        # A name that is there stays: a test may have put something else in its place.
        for each in ("__all__", *_exports.__all__):
            globals().setdefault(each, getattr(_exports, each))
        try:
            return globals()[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})


del TYPE_CHECKING
