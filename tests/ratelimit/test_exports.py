"""The public names of the package; the modules of a shared limit load only when one of their names is used."""

import subprocess
import sys

import pytest

from wavix_async import _ratelimit


def test_every_name_exists() -> None:
    assert [name for name in _ratelimit.__all__ if not hasattr(_ratelimit, name)] == []
    assert len(set(_ratelimit.__all__)) == len(_ratelimit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Gate'"):
        _ratelimit.Gate  # type: ignore[attr-defined]  # noqa: B018


def test_a_client_with_a_rate_of_its_own_loads_no_shared_limit() -> None:
    code = """
import sys
from wavix_async import WavixClient

WavixClient("k" * 12, rate=5.0).numbers
print(*sorted(name.rpartition(".")[2] for name in sys.modules if name.startswith("wavix_async._ratelimit.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["estimator", "headers", "limiter", "pacer", "strays"]
