"""`python -m housing_dashboard`: the dashboard, after a look at the environment, so that a bad value stops the start.

Streamlit itself starts whatever the environment is, and runs the app when the first page is opened. Options are
Streamlit's.
"""

import signal
import sys
from pathlib import Path

from housing_assets.config.environment import read_environment
from housing_assets.core.errors import HousingError
from housing_assets.store.layout import Store
from housing_dashboard.settings import DashboardSettings


def main() -> None:
    """Serve as the environment says."""
    try:
        Store.open(read_environment(DashboardSettings).store_uri)
    except HousingError as error:
        sys.exit(f"error: {error}")
    from streamlit.web.cli import main as streamlit

    # The server closes its connections first and then has the signal sent again: who stops a service expects 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    streamlit(["run", str(Path(__file__).with_name("server.py")), *sys.argv[1:]])


if __name__ == "__main__":
    main()
