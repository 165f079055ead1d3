"""What the API takes and answers, one module for each group of operations.

A model is public by standing in the `__all__` of its module. A module is loaded when one of its names is first used.
"""

TYPE_CHECKING = False  # typing is slow to import, and the checkers know the name
if TYPE_CHECKING:
    from wavix_async.models.common import *  # noqa: F403 - __all__ says what
    from wavix_async.models.messages import *  # noqa: F403
    from wavix_async.models.numbers import *  # noqa: F403

else:

    def __getattr__(name):
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from wavix_async.models._index import names

        if name == "__all__":
            return sorted(names(__name__, globals()["__path__"]))
        import importlib

        try:
            module = importlib.import_module(names(__name__, globals()["__path__"])[name])
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        return globals().setdefault(name, getattr(module, name))

    def __dir__():
        return sorted({*globals(), *__getattr__("__all__")})


del TYPE_CHECKING
