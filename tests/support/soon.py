"""The time limit after which a test calls something hanging."""

SOON = 10.0
"""Real seconds for what takes a moment, on a machine that is busy with something else.

Where a test sets it as a bound, what it guards against takes much longer: a minute, or for ever. Times that have to be
exact are measured in virtual time (`tests/support/virtual.py`).
"""
