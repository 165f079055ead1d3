"""The asyncio SDK for the Wavix telecom API."""
