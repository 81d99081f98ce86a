"""XGBoost without scikit-learn: what a server needs of it, at a third of the memory and time to start."""

import sys


def import_xgboost() -> None:
    """Import XGBoost before anything else does.

    Where scikit-learn is installed, XGBoost imports it, and that pandas, for estimator classes that a server never
    uses. Where it is not, as in the image of the API, this changes nothing.
    """
    if "xgboost" in sys.modules or "sklearn" in sys.modules:
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # an import of it fails as if it were not installed
    try:
        import xgboost  # noqa: F401
    finally:
        del sys.modules["sklearn"]
