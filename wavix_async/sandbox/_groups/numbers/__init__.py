"""Phone numbers in the sandbox."""

from wavix_async.sandbox._groups.numbers.data import DOC_TYPES, FOREIGN_CITIES, HOME_CITIES, SMS_COUNTRIES, City
from wavix_async.sandbox._groups.numbers.routes import Numbers
from wavix_async.sandbox._groups.numbers.store import Store

__all__ = ["DOC_TYPES", "FOREIGN_CITIES", "HOME_CITIES", "SMS_COUNTRIES", "City", "Numbers", "Store"]
