# syntax=docker/dockerfile:1
# Three images from one file: `docker build --target dagster|api|dashboard .`
# Each has its own extra's lock and nothing else; each runs as a user without rights, on a read-only root, and writes
# to one volume: /app/data, which is also its home and its folder for temporary files.
FROM python:3.11.15-slim-trixie@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93 AS base

# ---------------------------------------------------------------- what installs, and stays behind
FROM base AS installer
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/venv
WORKDIR /app
COPY requirements/uv.txt requirements/
RUN python -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --quiet --require-hashes -r requirements/uv.txt \
 && /opt/uv/bin/uv venv --quiet --python /usr/local/bin/python /opt/venv

FROM installer AS dagster-installed
COPY requirements/assets.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r requirements/assets.txt
COPY pyproject.toml README.md LICENSE dagster.yaml workspace.yaml ./
COPY housing_assets housing_assets
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --no-deps --build-constraints requirements/assets.txt --editable . \
 && python -m compileall -q housing_assets

FROM installer AS api-installed
COPY requirements/assets.txt requirements/serving.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r requirements/serving.txt
COPY pyproject.toml README.md LICENSE ./
COPY housing_assets/__init__.py housing_assets/
COPY housing_assets/core housing_assets/core
COPY housing_assets/config/__init__.py housing_assets/config/environment.py housing_assets/config/
COPY housing_assets/store housing_assets/store
COPY housing_serving housing_serving
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --no-deps --build-constraints requirements/assets.txt --editable . \
 && python -m compileall -q housing_assets housing_serving

FROM installer AS dashboard-installed
COPY requirements/assets.txt requirements/dashboard.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r requirements/dashboard.txt
COPY pyproject.toml README.md LICENSE ./
COPY housing_assets/__init__.py housing_assets/
COPY housing_assets/core housing_assets/core
COPY housing_assets/config/__init__.py housing_assets/config/environment.py housing_assets/config/
COPY housing_assets/store housing_assets/store
COPY housing_dashboard housing_dashboard
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --no-deps --build-constraints requirements/assets.txt --editable . \
 && python -m compileall -q housing_assets housing_dashboard

# ---------------------------------------------------------------- what runs
FROM base AS runtime
RUN groupadd --gid 10001 housing \
 && useradd --uid 10001 --gid housing --no-create-home --home-dir /app/data --shell /usr/sbin/nologin housing \
 && install --directory --owner=housing --group=housing /app/data
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/app/data \
    TMPDIR=/app/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
STOPSIGNAL SIGTERM

# Also MLflow's server, the runs and the one-off commands of `housing`: the command says which.
FROM runtime AS dagster
ENV DAGSTER_HOME=/app/data/dagster
COPY --from=dagster-installed /opt/venv /opt/venv
COPY --from=dagster-installed /app /app
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=${GIT_COMMIT}
USER 10001:10001
VOLUME /app/data
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=10s --start-period=90s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/server_info', timeout=8)"]
CMD ["housing", "start", "dagster-webserver", "-w", "workspace.yaml", "-h", "0.0.0.0", "-p", "3000"]

FROM runtime AS api
ENV HOUSING_API_HOST=0.0.0.0
COPY --from=api-installed /opt/venv /opt/venv
COPY --from=api-installed /app /app
USER 10001:10001
VOLUME /app/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["python", "-m", "housing_serving"]

FROM runtime AS dashboard
COPY --from=dashboard-installed /opt/venv /opt/venv
COPY --from=dashboard-installed /app /app
USER 10001:10001
VOLUME /app/data
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "housing_dashboard/app.py", "--server.address", "0.0.0.0", "--server.port", "8501", \
     "--server.headless", "true"]
