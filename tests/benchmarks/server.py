"""The API with three more operations to measure it against: `python server.py PORT`.

`/echo` decodes the same body and predicts nothing: the most that a server of this kind can do. `/raw` answers any body
as a bare ASGI application, without FastAPI, log or metrics. `/naive` is how such a server is often begun: pandas and
everything read from disk for each request.
"""

# ruff: noqa: E402
import json
import os
import sys
from pathlib import Path

import msgspec
import uvicorn
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from housing_assets.core.models.engine import import_xgboost

import_xgboost(estimators=False)  # as `python -m housing_serving` does, before anything of the API imports it

from housing_serving.app import app
from housing_serving.bodies import JSON, read_body
from housing_serving.raw_row import RawRow
from housing_serving.settings import ServingSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
from loop_pauses import add_pauses

add_pauses(app)
SETTINGS = ServingSettings()  # pyright: ignore[reportCallIssue]
DECODER = msgspec.json.Decoder(list[RawRow])


@app.post("/echo")
async def echo(request: Request) -> Response:
    decoded = DECODER.decode(await read_body(request, SETTINGS))
    return Response(msgspec.json.encode({"rows": len(decoded)}), media_type=JSON)


# Routes are tried in order: the echo must not wait for those of the API.
app.router.routes.insert(0, app.router.routes.pop())


@app.post("/naive")
def naive(sent: list[dict]) -> dict:
    import numpy as np
    import pandas as pd
    import xgboost as xgb

    store = Path(SETTINGS.store_uri)
    version = json.loads((store / "models/champion.json").read_text())["version"]
    folder = store / "models" / version
    booster = xgb.Booster()
    booster.load_model(folder / "model.ubj")
    told = json.loads((folder / "features.json").read_text())
    encoders = pd.read_parquet(folder / "encoders.parquet")
    frame = pd.DataFrame(sent)
    frame["date"] = pd.to_datetime(frame["date"])
    frame["year"], frame["quarter"], frame["month"] = (
        frame["date"].dt.year,
        frame["date"].dt.quarter,
        frame["date"].dt.month,
    )
    for column, source in (("zipcode_frequency", "zipcode"), ("city_full_target", "city_full")):
        known = encoders.set_index(encoders.columns[1])[encoders.columns[2]]
        frame[column] = frame.get(source, pd.Series(dtype=object)).map(known[~known.index.duplicated()]).astype(float)
    matrix = frame.reindex(columns=told["features"]).apply(pd.to_numeric, errors="coerce")
    logs = booster.predict(xgb.DMatrix(matrix))
    return {"predictions": np.exp(logs.astype(float)).tolist()}


async def with_raw(scope: Scope, receive: Receive, send: Send) -> None:
    """The API, and `/raw` in front of it."""
    if scope["type"] != "http" or scope["path"] != "/raw":
        await app(scope, receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"rows":1}'})


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    uvicorn.run(with_raw, port=int(sys.argv[1]), log_level="warning", access_log=False)
