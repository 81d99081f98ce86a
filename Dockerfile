# Three images from one file: `make images`, or `docker build --target dagster|api|dashboard .`
# Each has its own extra's lock and nothing else; each runs as a user without rights, on a read-only root, and writes
# to one volume: /app/data, which is also its home and its folder for temporary files.
# How the package index is reached is a secret of the build, where it takes more than its name: `certificates` stands in
# for the system's, `pip.conf` and `uv.toml` configure what installs. No image keeps them.
FROM python:3.11.15-slim-trixie@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93 AS base

# ---------------------------------------------------------------- what installs, and stays behind
FROM base AS installer
ENV UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    VIRTUAL_ENV=/opt/venv
WORKDIR /app
# It strips libraries, and is in no image.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -qq --yes --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/uv.txt requirements/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --quiet --require-hashes -r requirements/uv.txt \
 && /opt/uv/bin/uv venv --quiet --python /usr/local/bin/python /opt/venv \
 && rm -rf /opt/bytecode

# The project itself: where its code lies, its version and its command. It does not change with the code.
FROM installer AS project
COPY requirements/assets.txt requirements/
COPY pyproject.toml LICENSE ./
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=cache,target=/root/.cache/uv \
    : > README.md \
 && for name in housing_assets housing_serving housing_dashboard; do mkdir "$name" && : > "$name/__init__.py"; done \
 && /opt/uv/bin/uv pip install --quiet --no-deps --build-constraints requirements/assets.txt \
    --python /opt/venv/bin/python --prefix /opt/project --editable .

FROM installer AS dagster-libraries
COPY requirements/assets.txt requirements/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r requirements/assets.txt
COPY infra/slim.py /opt/
RUN /opt/venv/bin/python /opt/slim.py /opt/venv/lib/python3.11/site-packages dagster

FROM installer AS api-libraries
COPY requirements/assets.txt requirements/serving.txt requirements/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r requirements/serving.txt
COPY infra/slim.py /opt/
RUN /opt/venv/bin/python /opt/slim.py /opt/venv/lib/python3.11/site-packages api

FROM installer AS dashboard-libraries
COPY requirements/assets.txt requirements/dashboard.txt requirements/
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --require-hashes -r requirements/dashboard.txt
COPY infra/slim.py /opt/
RUN /opt/venv/bin/python /opt/slim.py /opt/venv/lib/python3.11/site-packages dashboard

# ---------------------------------------------------------------- what runs
# The base without what only installs or administers a system, as one layer of all images. dpkg's records stay true, for
# scanners; so do a shell, the core utilities and `script`, for `aws ecs execute-command`.
FROM base AS system
RUN groupadd --gid 10001 housing \
 && useradd --uid 10001 --gid housing --no-create-home --home-dir /app/data --shell /usr/sbin/nologin housing \
 && install --directory --owner=housing --group=housing /app/data \
 && dpkg --purge --force-all apt diffutils libapt-pkg7.0 libdb5.3t64 libpam-modules libpam-modules-bin libpam-runtime \
    libpam0g login mount openssl passwd sqv > /dev/null 2>&1 \
 && dpkg --purge --force-all debconf libblkid1 libgmp10 libhogweed6t64 libmount1 libnettle8t64 libsemanage2 libsepol2 \
    libsmartcols1 libsystemd0 libudev1 perl-base util-linux > /dev/null 2>&1 \
 && lib=/usr/local/lib/python3.11 \
 && rm -rf /usr/lib/*-linux-gnu/gconv /usr/local/bin/pip* /var/cache/* /var/lib/apt/lists/* /var/lib/dpkg/*-old \
    "$lib"/ensurepip "$lib"/idlelib "$lib"/lib2to3 "$lib"/lib-dynload/_test* "$lib"/pydoc_data "$lib"/site-packages/* \
    "$lib"/tkinter "$lib"/turtledemo

FROM scratch AS runtime
# hadolint ignore=DL3067
COPY --from=system / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    HOME=/app/data \
    TMPDIR=/app/data \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
STOPSIGNAL SIGTERM

FROM base AS dagster-code
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
WORKDIR /app
COPY dagster.yaml workspace.yaml ./
COPY housing_assets housing_assets
RUN python -m compileall -q housing_assets

FROM base AS api-code
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
WORKDIR /app
COPY housing_assets/__init__.py housing_assets/
COPY housing_assets/core housing_assets/core
COPY housing_assets/config/__init__.py housing_assets/config/environment.py housing_assets/config/
COPY housing_assets/store housing_assets/store
COPY housing_serving housing_serving
RUN python -m compileall -q housing_assets housing_serving

FROM base AS dashboard-code
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
WORKDIR /app
COPY housing_assets/__init__.py housing_assets/
COPY housing_assets/core housing_assets/core
COPY housing_assets/config/__init__.py housing_assets/config/environment.py housing_assets/config/
COPY housing_assets/store housing_assets/store
COPY housing_dashboard housing_dashboard
RUN python -m compileall -q housing_assets housing_dashboard

# Also MLflow's server, the runs and the one-off commands of `housing`: the command says which.
FROM runtime AS dagster
ENV DAGSTER_HOME=/app/data/dagster
COPY --from=dagster-libraries /opt/venv /opt/venv
COPY --from=dagster-libraries /opt/bytecode /opt/bytecode
COPY --from=project /opt/project /opt/venv
COPY --from=dagster-code /app /app
COPY --from=dagster-code /opt/bytecode /opt/bytecode
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=${GIT_COMMIT}
USER 10001:10001
VOLUME /app/data
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=10s --start-period=180s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/server_info', timeout=8)"]
CMD ["housing", "start", "dagster-webserver", "-w", "workspace.yaml", "-h", "0.0.0.0", "-p", "3000"]

FROM runtime AS api
ENV HOUSING_API_HOST=0.0.0.0 \
    OTEL_SERVICE_NAME=housing-api
COPY --from=api-libraries /opt/venv /opt/venv
COPY --from=api-libraries /opt/bytecode /opt/bytecode
COPY --from=project /opt/project /opt/venv
COPY --from=api-code /app /app
COPY --from=api-code /opt/bytecode /opt/bytecode
USER 10001:10001
VOLUME /app/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["python", "-m", "housing_serving"]

FROM runtime AS dashboard
COPY --from=dashboard-libraries /opt/venv /opt/venv
COPY --from=dashboard-libraries /opt/bytecode /opt/bytecode
COPY --from=project /opt/project /opt/venv
COPY --from=dashboard-code /app /app
COPY --from=dashboard-code /opt/bytecode /opt/bytecode
USER 10001:10001
VOLUME /app/data
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "housing_dashboard", "--server.address", "0.0.0.0", "--server.port", "8501", \
     "--server.headless", "true"]
