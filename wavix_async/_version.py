"""The version: the build reads it, and the client sends it in the User-Agent header."""

__version__ = "0.2.0"
