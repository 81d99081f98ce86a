"""What the README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_runs(tmp_path):
    (example,) = (e for e in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "housing_assets" in e)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("model", "train_median", "metro_median", "last_known_price"):
        assert name in done.stdout


def test_every_setting_is_in_it():
    from housing_assets.settings import Settings
    from housing_serving.settings import ServingSettings

    for settings in (Settings, ServingSettings):
        for name, field in settings.model_fields.items():
            assert f"`{field.validation_alias or f'HOUSING_{name.upper()}'}`" in README, name


def test_every_command_is_in_it():
    from housing_assets.cli import app

    for command in app.registered_commands:
        assert f"`housing {command.callback.__name__}" in README
