"""Keys, tokens and logins that look random, and depend only on the seed and on what they belong to."""

import hashlib


def made(seed: int, kind: str, key: object) -> str:
    """Return 64 hexadecimal digits for a record.

    Args:
        seed: The seed of the sandbox.
        kind: The kind of record.
        key: The id of the record.
    """
    return hashlib.sha256(f"{seed} {kind} {key}".encode()).hexdigest()
