"""Great Expectations at half the time that its import takes, which every process with a check would pay in full."""

import gc
import importlib.util
import sys
from threading import Lock

_UNUSED = "scipy.stats"
"""Imported by expectations on distributions, of which no rule is one: 500 modules."""
_IMPORTING = Lock()
"""Whoever comes second waits for the whole: two threads within its circular imports would each see half of it."""


def import_great_expectations() -> None:
    """Import Great Expectations.

    A module that no rule needs is loaded when one of its attributes is first asked for, as the Python documentation
    shows it ("Implementing lazy imports" of `importlib`). The garbage collector rests meanwhile: all that the import
    makes stays, and to look through it again and again takes a quarter of the time.
    """
    with _IMPORTING:
        if "great_expectations" in sys.modules:
            return
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            _load_when_used(_UNUSED)
            import great_expectations  # noqa: F401
        finally:
            if was_enabled:
                gc.enable()


def _load_when_used(name: str) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)
