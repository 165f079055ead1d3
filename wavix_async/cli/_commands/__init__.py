"""The commands, one module per group."""

from wavix_async.cli._commands import fleet
from wavix_async.cli._commands.bulk_update import bulk_update
from wavix_async.cli._commands.demo import demo
from wavix_async.cli._commands.numbers import get, list_, release, update
from wavix_async.cli._commands.sandbox import sandbox
from wavix_async.cli._commands.spec import diff
from wavix_async.cli._commands.webhooks import fire, listen

__all__ = ["bulk_update", "demo", "diff", "fire", "fleet", "get", "list_", "listen", "release", "sandbox", "update"]
