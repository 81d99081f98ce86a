"""The API with two more operations to measure it against: `python server.py PORT`.

`/echo` decodes the same body and predicts nothing: the most that a server of this kind can do. `/naive` is how such a
server is often begun: pandas and everything read from disk for each request.
"""

import json
import os
import sys
from pathlib import Path

import msgspec
import uvicorn
from fastapi import Request, Response

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


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
