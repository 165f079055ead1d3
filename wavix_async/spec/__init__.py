"""Watch for drift: hold a new API description, or what real answers showed, against this package.

    from wavix_async.spec import DriftCollector, compare

    comparison = compare(Path("openapi.json").read_text())
    print(comparison.to_markdown())

    drift = DriftCollector()
    async with WavixClient(observers=[drift]) as wavix: ...
    print(drift.comparison().to_markdown())

`openapi.json` is the description that this package was made with. `known.json` says what this package does otherwise,
and why. `_document.py` reads a description into shapes (`_shape.py`), and `_package.py` the operations and models of
this package. `_compare.py` compares them, and `_result.py` writes what it finds.
"""

from wavix_async.spec._compare import compare
from wavix_async.spec._document import MAX_SIZE
from wavix_async.spec._drift import DriftCollector
from wavix_async.spec._result import ChangeKind, Comparison, Effect, SpecChange

__all__ = ["MAX_SIZE", "ChangeKind", "Comparison", "DriftCollector", "Effect", "SpecChange", "compare"]
