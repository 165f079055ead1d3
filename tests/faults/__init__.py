"""Tests against a server that misbehaves on purpose, and that server."""
