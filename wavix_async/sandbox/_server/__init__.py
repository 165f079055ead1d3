"""The sandbox as an HTTP server: requests, faults, rate limit."""
