"""Signals of a history that are read from disk are those that were in memory."""

import tempfile

import numpy as np

from housing_assets.core.features.history import History
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_serving.mapped_history import with_mapped_signals


def small_history() -> History:
    frame = sample_frame(SampleSpec(zips=6, start="2018-01", end="2021-12"))
    return History.from_months([frame])


def test_features_and_fingerprint_are_the_same_to_the_bit(tmp_path):
    held = small_history()
    mapped = with_mapped_signals(held, str(tmp_path / "kept"))
    assert list((tmp_path / "kept").iterdir()) == []
    assert not mapped.signals["inventory"].flags.owndata
    for origin in ("2019-06", "2021-12"):
        np.testing.assert_array_equal(mapped.features(origin, 1), held.features(origin, 1))
    assert mapped.fingerprint("2021-06") == held.fingerprint("2021-06")


def test_where_no_file_can_be_written_the_history_stays_in_memory(monkeypatch, caplog):
    def refuse(**_options: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    held = small_history()
    assert with_mapped_signals(held) is held
    assert "TMPDIR" in caplog.text
