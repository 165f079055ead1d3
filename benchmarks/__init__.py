"""Benchmarks against bare aiohttp and the vendor's SDK: `python -m benchmarks`."""
