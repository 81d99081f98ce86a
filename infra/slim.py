"""Takes out of an image's libraries what its programs never load, and compiles what they load at their start.

`python slim.py SITE_PACKAGES IMAGE`, with the interpreter that the libraries are installed for. Wheels bring tests,
headers, sources of their extension modules, parts of which one is used, and symbols for a debugger. Each pattern is a
path below the folder of installed packages. A pattern that fits nothing is an error: a library that moved its files is
looked at again.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

EVERYWHERE = (
    # Tests of wheels. Not every folder of that name is one: Evidently's has its public classes.
    "numpy/**/tests", "numpy/_core/_*_tests*.so", "numpy/_core/_simd.*", "scipy/**/tests", "pyarrow/tests",
    # What extension modules are compiled with, and stubs of types.
    "**/*.pyi", "numpy/_core/include", "numpy/_core/lib", "numpy/random/lib",
    "pyarrow/include", "pyarrow/includes", "pyarrow/src", "pyarrow/*.pyx", "pyarrow/*.pxi",
    # Arrow over gRPC, and two more copies of a library under the names of its versions.
    "pyarrow/libarrow_flight*", "pyarrow/libarrow_python_flight*", "pyarrow/_flight*",
    "pyarrow/libarrow_python.so", "pyarrow/libarrow_python.so.*.*.*",
)  # fmt: skip
_SMALL = (
    # XGBoost imports sparse matrices, and nothing else here imports SciPy.
    "scipy.libs", *(f"scipy/{name}" for name in (
        "cluster", "constants", "datasets", "differentiate", "fft", "fftpack", "integrate", "interpolate", "io",
        "linalg", "ndimage", "odr", "optimize", "signal", "sparse/csgraph", "sparse/linalg", "spatial", "special",
        "stats",
    )),
)  # fmt: skip
_ONNX = (
    # The library for programs in C, which the Python module does not link, and tools that make models.
    "onnxruntime/capi/libonnxruntime.so*", "onnxruntime/transformers", "onnxruntime/tools", "onnxruntime/quantization",
)  # fmt: skip
_TRACES = (
    # What posts traces asks for a package of Google's messages and imports none of it, and few of the names.
    *(f"google/{name}" for name in ("api", "cloud", "gapic", "logging", "longrunning", "rpc", "type")),
    "opentelemetry/semconv/_incubating/*/[!_o]*",
)  # fmt: skip
_PAGES = ("pandas/tests", "jupyterlab_plotly")
REMOVED = {
    "api": (*EVERYWHERE, *_SMALL, *_TRACES, "uvloop/**/*.pyx", "uvloop/**/*.pxd", "httptools/**/*.pyx"),
    "dashboard": (*EVERYWHERE, *_SMALL, *_PAGES, "pydeck/nbextension", "plotly/package_data/plotly.min.js"),
    "dagster": (
        *EVERYWHERE, *_ONNX, *_PAGES, "sklearn/**/tests", "statsmodels/**/tests", "dask/**/tests",
        "nltk/test", "onnx/backend/test", "dagster_webserver/**/*.map",
    ),
}  # fmt: skip
AWS_OF_STORES = ("s3", "sso", "sso-oidc", "sts", "signin")
"""Services whose descriptions stay in images that only read the store, with those that hand out credentials."""
IMPORTED = {
    "api": "boto3 fastapi flatbuffers httptools httpx limits msgspec polars prometheus_client pyarrow.csv "
    "pyarrow.parquet pydantic_settings pythonjsonlogger uvicorn.main uvicorn.protocols.http.httptools_impl uvloop "
    "xgboost opentelemetry.sdk.trace.export opentelemetry.exporter.otlp.proto.http._log_exporter "
    "opentelemetry.exporter.otlp.proto.http.metric_exporter opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "dashboard": "boto3 httpx pandas plotly.graph_objects polars pyarrow.parquet pydantic_settings streamlit.web.cli "
    "streamlit.starlette streamlit.web.bootstrap streamlit.runtime.scriptrunner streamlit.testing.v1",
    "dagster": "boto3 dagster_aws.ecs dagster_aws.s3 dagster_graphql dagster_mlflow dagster_postgres "
    "dagster_webserver.cli dagster._cli dagster._daemon.cli dagster._grpc.server evidently.presets great_expectations "
    "httpx matplotlib.pyplot mlflow.server mlflow.xgboost onnx onnxmltools onnxruntime optuna pandas "
    "plotly.graph_objects polars psycopg2 pyarrow.csv pyarrow.parquet pydantic_settings rich.table scipy.stats "
    "sklearn.ensemble typer uvicorn.main xgboost",
}
"""Modules whose bytecode, with that of all that they import, is in the image."""


def slim(packages: Path, image: str) -> None:
    """Remove what the image's programs never load from a folder of installed packages.

    Raises:
        SystemExit: if a pattern fits no file.
    """
    before = _sizes(packages)
    for pattern in REMOVED[image]:
        paths = list(packages.glob(pattern))
        if not paths:
            raise SystemExit(f"infra/slim.py: {pattern} fits nothing in {packages}: correct or remove it")
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if image != "dagster":
        for folder in (packages / "botocore/data").iterdir():
            if folder.is_dir() and folder.name not in AWS_OF_STORES:
                shutil.rmtree(folder)
    libraries = [p for p in packages.rglob("*.so*") if p.is_file()]
    subprocess.run(["strip", "--strip-unneeded", *map(str, libraries)], check=True)
    after = _sizes(packages)
    for name in sorted(before, key=lambda name: -before[name])[:25]:
        print(f"{name:<32}{before[name] / 1e6:8.1f} MB ->{after.get(name, 0) / 1e6:8.1f} MB")
    print(f"{'all packages':<32}{sum(before.values()) / 1e6:8.1f} MB ->{sum(after.values()) / 1e6:8.1f} MB", flush=True)


def compile_imported(image: str) -> None:
    """Import what the image's programs import at their start, so that its bytecode is written."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "HOME": "/tmp", "MPLBACKEND": "agg"}
    modules = ", ".join(IMPORTED[image].split())
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True, env=environment)


def _sizes(packages: Path) -> dict[str, int]:
    """Bytes of each package."""
    return {p.name: sum(f.stat().st_size for f in (p, *p.rglob("*")) if f.is_file()) for p in packages.iterdir()}


if __name__ == "__main__":
    slim(Path(sys.argv[1]), sys.argv[2])
    compile_imported(sys.argv[2])
