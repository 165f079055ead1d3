"""The rate of requests: how fast they may go, and what the server says of it."""
