"""Phone numbers in the sandbox."""

from wavix_async.sandbox._groups.numbers.data import FOREIGN_CITIES, HOME_CITIES
from wavix_async.sandbox._groups.numbers.routes import Numbers

__all__ = ["FOREIGN_CITIES", "HOME_CITIES", "Numbers"]
