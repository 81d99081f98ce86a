"""From no model to one, from one champion to the next, and past damaged ones."""

import io
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import polars as pl
import pytest
from serving_fixtures import open_client, process, vouch, wait_for, wait_kept, wait_ready

from housing_assets.core.features.monthly import FEATURES
from housing_assets.store.bundles import list_versions
from housing_assets.store.layout import Store
from housing_assets.store.pointers import POINTER, champion_version, point_to
from housing_serving.bodies import ARROW

ROW = [{"date": "2020-03-31", "zipcode": "02139"}]


@pytest.fixture
def folder(made, tmp_path) -> Path:
    shutil.copytree(made.folder, tmp_path / "store")
    return tmp_path / "store"


def other_version(store: Store) -> str:
    return next(v for v in list_versions(store) if v != champion_version(store))


def test_without_a_model_it_lives_is_not_ready_and_becomes_ready_by_itself(made, tmp_path):
    with open_client(tmp_path / "store") as client:
        assert client.get("/health/live").status_code == 200
        for answer in (client.get("/health/ready"), client.post("/predict", json=ROW), client.get("/model")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        wait_for(client, lambda: "run training_job" in client.get("/health").json()["reason"], "no reason")
        assert client.get("/health").json()["status"] == "unhealthy"
        assert client.get("/latest_predictions").status_code == 404
        shutil.copytree(made.folder, tmp_path / "store", dirs_exist_ok=True)
        wait_ready(client)
        assert client.post("/predict", json=ROW).status_code == 200
        health = client.get("/health").json()
        version = champion_version(made.store)
        assert health == {
            "status": "healthy",
            "model_version": version,
            "n_features_expected": len(FEATURES),
            "reason": "",
        }


def test_a_new_champion_is_picked_up_and_every_answer_names_its_model(folder):
    store = Store.open(str(folder))
    before, after = champion_version(store), other_version(store)
    with open_client(folder) as client:
        wait_ready(client)
        assert client.post("/predict", json=ROW).json()["model_version"] == before
        point_to(store, after)
        wait_for(client, lambda: client.post("/predict", json=ROW).json()["model_version"] == after, "not reloaded")
        metrics = client.get("/metrics").text
        assert f'housing_model_info{{version="{after}"}} 1.0' in metrics
        assert before not in metrics


BUNDLE = ["model.ubj", "model.onnx", "encoders.parquet", "features.json", "golden_rows.parquet"]
BUNDLE += ["metrics.json", "intervals.parquet"]


@pytest.mark.parametrize("name", BUNDLE)
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "another version's"])
def test_a_damaged_champion_is_refused_and_the_last_good_one_serves(folder, name, damage):
    store = Store.open(str(folder))
    before, after = champion_version(store), other_version(store)
    with open_client(folder) as client:
        wait_ready(client)
        said = client.post("/predict", json=ROW).json()
        path = folder / "models" / after / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        if damage == "missing":
            path.unlink()
        elif damage == "another version's":
            path.write_bytes((folder / "models" / before / name).read_bytes() + b" ")
        else:
            path.write_bytes(bytes(data) if damage == "flipped" else bytes(data[:-9]))
        store.write_json(POINTER, {"version": after})
        wait_for(client, lambda: "refused" in client.get("/health").json()["reason"], "not refused")
        assert client.post("/predict", json=ROW).json() == said
        assert said["model_version"] == before
        metrics = client.get("/metrics").text
        # Once, and not at every look: the files are the same.
        assert 'housing_reloads_total{error="BundleError",outcome="refused"} 1.0' in metrics
        reason = client.get("/health").json()["reason"]
        assert name in reason
        assert str(folder) not in reason


def test_a_bundle_of_a_newer_format_is_refused(folder):
    store = Store.open(str(folder))
    after = other_version(store)
    key = f"models/{after}/manifest.json"
    with open_client(folder) as client:
        wait_ready(client)
        store.write_json(key, {**store.read_json(key), "format": 99})
        store.write_json(POINTER, {"version": after})
        wait_for(client, lambda: "refused" in client.get("/health").json()["reason"], "not refused")
        assert client.post("/predict", json=ROW).status_code == 200


def test_intervals_that_were_made_again_are_picked_up(folder):
    months = Store.open(str(folder)).months("interval_calibration")
    newest = months.available()[-1]
    with open_client(folder) as client:
        wait_ready(client)
        before = client.post("/predict", json=ROW).json()
        (price,), ((low, _),) = before["predictions"], before["intervals"]
        months.write(newest, months.read(newest).with_columns(pl.col("log_low") * 2))
        vouch(Store.open(str(folder)), "interval_calibration")

        def lower() -> float:
            return client.post("/predict", json=ROW).json()["intervals"][0][0]

        wait_for(client, lambda: lower() < low, "not reloaded")
        assert lower() == pytest.approx(price * (low / price) ** 2)


@pytest.mark.parametrize("pointer", [b"", b"{", b"{}", b'{"version": "tuned-000000000000"}'])
def test_a_pointer_to_nothing_is_refused(folder, pointer):
    with open_client(folder) as client:
        wait_ready(client)
        Store.open(str(folder)).blobs.write(POINTER, pointer)
        wait_for(client, lambda: "refused" in client.get("/health").json()["reason"], "not refused")
        assert client.post("/predict", json=ROW).status_code == 200


def test_the_model_says_what_it_is(client, made):
    told = client.get("/model").json()
    assert told["version"] == champion_version(made.store)
    assert told["months"]["train"] == ["2019-01", "2019-09"]
    assert "train_median" in told["metrics"]["eval"]
    assert len(told["features"]) == len(FEATURES)
    (listed,) = (f for f in told["features"] if f["name"] == "median_list_price")
    assert (listed["unit"], listed["low"], listed["high"]) == ("US dollars", 0, 1e9)


def test_the_openapi_example_can_be_predicted_as_it_stands(client):
    page = client.get("/openapi.json").json()
    body = page["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert client.post("/predict", json=body["example"]).status_code == 200
    assert body["schema"]["items"] == {"$ref": "#/components/schemas/RawRow"}
    row = page["components"]["schemas"]["RawRow"]
    assert set(row["required"]) == {"date", "zipcode"}
    assert row["additionalProperties"] is False
    assert client.get("/docs").status_code == 200


def test_a_server_process_is_light_and_leaves_when_asked(made, tmp_path):
    with process(str(made.folder), tmp_path) as (server, url):
        assert httpx.post(f"{url}/predict", json=ROW * 1_000, timeout=120).status_code == 200
        assert httpx.post(f"{url}/explain", json=ROW, timeout=120).status_code == 200
        status = Path(f"/proc/{server.pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        assert resident < 250_000, f"{resident} kB"
        rows = pl.DataFrame(ROW * 1_000)
        rows.write_ipc_stream(stream := io.BytesIO())
        headers = {"content-type": ARROW, "accept": ARROW}
        answer = httpx.post(f"{url}/predict", content=stream.getvalue(), headers=headers)
        assert pl.read_ipc_stream(answer.content).height == rows.height
        assert httpx.get(f"{url}/modules").json() == []
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert httpx.get(f"{url}/health/ready").json()["detail"] == "the server is leaving"
        assert httpx.post(f"{url}/predict", json=ROW).status_code == 200
        assert server.wait(20) == 0


def test_the_calls_of_the_documentation_are_answered(grown, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("this machine has no curl")
    readme, page = ((Path(__file__).parents[2] / name).read_text() for name in ("README.md", "docs/api.md"))
    examples = [e for e in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "httpx" in e]
    blocks = [e for text in (readme, page) for e in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "curl" in e]
    assert len(blocks) == 2
    shell = "".join(blocks)
    # Of another panel: its last month, and a zip of it.
    month, version = grown.settings.months[-1], champion_version(grown.store)
    place = grown.read("monthly_forecasts", month)["zipcode"][0]
    calls = re.sub("(?<=/)01701", place, re.sub(r"20[0-9]{2}-[01][0-9](?!-)", month, shell))
    with process(str(grown.folder), tmp_path) as (_, url):
        for example, words in zip(examples, (version, "predicted_price"), strict=True):
            program = example.replace("127.0.0.1:8000", url.removeprefix("http://"))
            said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
            assert words in said
        calls = calls.replace("curl -s", "curl -sS --fail").replace("localhost:8000", url.removeprefix("http://"))
        answers = subprocess.run(["bash", "-ec", calls], capture_output=True, text=True, check=True).stdout
        assert version in answers
        assert f'"month":"{month}"' in answers


def test_it_starts_from_the_last_good_champion_while_the_store_is_away(made, tmp_path):
    with process(str(made.folder), tmp_path) as (_, url):
        expected = httpx.post(f"{url}/predict", json=ROW).json()
        assert expected["model_version"] == champion_version(made.store)
        wait_kept(tmp_path / "data/serving")
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with process("s3://bucket/store", tmp_path, **away, **keys) as (_, url):
        assert httpx.post(f"{url}/predict", json=ROW).json() == expected
        assert "from its copy" in httpx.get(f"{url}/health").json()["reason"]
        assert httpx.get(f"{url}/latest_predictions", timeout=240).status_code == 503


def test_a_store_in_s3_serves_too(made, bucket, s3_env):
    there = Store.open(f"s3://{bucket}/store")
    for part in ("models/", "monthly_predictions/", "checks/"):
        for key in made.store.blobs.keys(part):
            there.blobs.write(key, made.store.blobs.read(key))
    with open_client(f"s3://{bucket}/store") as client:
        wait_ready(client)
        assert client.post("/predict", json=ROW).status_code == 200
        assert client.get("/latest_predictions").json()["rows"] > 0
