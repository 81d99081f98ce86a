"""Great Expectations may be imported by two threads: `housing run` begins to while sources are read."""

import subprocess
import sys

import pytest

BOTH = """
import sys, threading, time
from housing_assets.orchestration.checks.quick_import import import_great_expectations

thread = threading.Thread(target=import_great_expectations)
thread.start()
while "great_expectations" not in sys.modules:
    time.sleep(0.001)
time.sleep(float(sys.argv[1]))
import_great_expectations()
from great_expectations.expectations.core.expect_column_values_to_be_between import ExpectColumnValuesToBeBetween
print(ExpectColumnValuesToBeBetween.__name__)
"""


@pytest.mark.process
def test_who_comes_second_waits_until_all_of_it_is_imported():
    for seconds in ("0", "0.3", "0.8"):
        done = subprocess.run(
            (sys.executable, "-c", BOTH, seconds), check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr, "the thread failed"
        assert done.stdout.startswith("ExpectColumnValuesToBeBetween")
