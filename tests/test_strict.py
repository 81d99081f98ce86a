"""Under HOUSING_TEST_STRICT=1 a skip is a failure, wherever it happens."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = {
    "marked": "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_it(): pass\n",
    "called": "import pytest\ndef test_it(): pytest.skip('no browser')\n",
    "whole module": "import pytest\npytest.skip('no browser', allow_module_level=True)\n",
    "fixture": "import pytest\n@pytest.fixture\ndef x(): pytest.skip('no browser')\ndef test_it(x): pass\n",
}
TESTS = Path(__file__).parent
XFAIL = "import pytest\n@pytest.mark.xfail(reason='known', strict=True)\ndef test_it(): assert False\n"


def run_pytest(folder: Path, text: str, strict: str) -> tuple[int, str]:
    shutil.copy(TESTS / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)],
        env={
            **os.environ,
            "HOUSING_TEST_STRICT": strict,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(TESTS),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_only_when_asked(tmp_path, text):
    code, out = run_pytest(tmp_path, text, "1")
    assert code != 0
    assert "no browser" in out
    assert "A skip is a failure under HOUSING_TEST_STRICT=1" in out
    assert run_pytest(tmp_path, text, "0")[0] in (0, 5)


def test_an_expected_failure_is_no_skip(tmp_path):
    assert run_pytest(tmp_path, XFAIL, "1")[0] == 0
