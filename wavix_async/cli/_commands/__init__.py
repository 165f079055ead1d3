"""The commands that are written by hand, one module per group. `_app` imports the one that is called."""
