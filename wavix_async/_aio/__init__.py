"""Event loop helpers: waits that tests can skip, waits that end together, one timer for many deadlines."""
