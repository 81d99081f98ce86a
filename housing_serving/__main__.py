"""`python -m housing_serving`: the API as a process of its own. What it does at a signal belongs in `process`."""

import gc
import sys


def main() -> None:
    """Serve as the environment says.

    The garbage collector rests while modules are imported, a sixth of the time of the start, and leaves them out
    afterwards: they stay, and to look through them stops every call for tens of milliseconds.
    """
    gc.disable()
    from housing_assets.core.errors import HousingError
    from housing_assets.core.models.engine import import_xgboost

    # In a process that serves and does nothing else.
    import_xgboost(estimators=False)
    try:
        from housing_serving.process import serve
    except HousingError as error:
        sys.exit(f"error: {error}")
    gc.freeze()
    gc.enable()
    serve()


if __name__ == "__main__":
    main()
