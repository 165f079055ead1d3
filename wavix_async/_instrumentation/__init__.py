"""Events, the observers that get them, and the log."""
