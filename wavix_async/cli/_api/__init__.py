"""The whole API as commands, generated from the signatures and the docstrings of the client's groups."""

from wavix_async.cli._api.groups import add_groups, methods

__all__ = ["add_groups", "methods"]
