"""Phone numbers in the sandbox."""
