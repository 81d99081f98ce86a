"""Pure functions over frames. Nothing here knows of Dagster, MLflow, HTTP or where files live."""

import os

# Before anything loads OpenMP: idle threads spin by default, which on a busy 2-core machine is 10 to 50 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
