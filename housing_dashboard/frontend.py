"""Streamlit's scripts as a browser gets them fast: compressed once, kept in memory, and named before they are needed.

Streamlit itself reads each file from disk for each browser, sends it uncompressed, and its page names only the scripts
of an empty app: those of each kind of element are asked for when the first such element comes.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from threading import Lock

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.file_util import get_static_dir

NEEDED_FIRST = ("Html", "PageLink", "Selectbox", "Checkbox", "Metric")
"""Elements that pages begin with, by the names of Streamlit's modules. Charts and tables come after the figures."""
_NEEDED_BY_PAGE = {"map": ("BidiComponent", "Radio", "Slider", "Button")}
_PAGES = ("", "map", "place", "compare", "what_if", "model", "health")
_COMPRESSED_ALREADY = (".woff2", ".woff", ".png", ".gif", ".jpg")
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".woff2": "font/woff2"}
_FOR_EVER = "public, immutable, max-age=31536000"
# What is seen until the scripts run, in the colours that Streamlit will have.
_BEFORE_SCRIPTS = """<style>
  .before-scripts {font: 600 1.1rem "Source Sans", sans-serif; padding: 1.1rem 1.5rem; color: #31333f}
  @media (prefers-color-scheme: dark) {html {background: #171614} .before-scripts {color: #fafafa}}
</style>"""
_TITLE = "Housing prices by month"


class Frontend:
    """Middleware that answers for Streamlit's static files and pages, and leaves all else to the application."""

    def __init__(self, app: ASGIApp, folder: Path | None = None) -> None:
        self.app = app
        self.folder = (folder or Path(get_static_dir())).resolve()
        self._bodies: dict[str, bytes] = {}
        self._lock = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        name, body = path.removeprefix("/"), None
        if scope["type"] == "http" and scope["method"] == "GET":
            if name in _PAGES:
                body = page_of(self.folder, name).encode()
            elif name.startswith("static/") and _takes_gzip(scope):
                body = self.compressed(name)
        if body is None:
            await self.app(scope, receive, send)
        else:
            await _send(send, body, name)

    def compressed(self, name: str) -> bytes | None:
        """A static file as it is sent, compressed unless its format is. None if there is no such file.

        Args:
            name: its path below the folder of static files.
        """
        if (body := self._bodies.get(name)) is not None:
            return body
        file = self.folder / name
        if file.suffix not in _TYPES or self.folder not in file.resolve().parents or not file.is_file():
            return None
        with self._lock:
            if name not in self._bodies:
                raw = file.read_bytes()
                self._bodies[name] = raw if file.suffix in _COMPRESSED_ALREADY else gzip.compress(raw, 6, mtime=0)
        return self._bodies[name]


def _takes_gzip(scope: Scope) -> bool:
    """True for a request of a whole file that may be compressed."""
    headers = Headers(scope=scope)
    return "gzip" in headers.get("accept-encoding", "") and "range" not in headers


async def _send(send: Send, body: bytes, name: str) -> None:
    suffix = Path(name).suffix
    # Names of static files have a digest of what is in them.
    caching = _FOR_EVER if suffix in _TYPES else "no-cache"
    headers = [
        (b"content-type", _TYPES.get(suffix, "text/html; charset=utf-8").encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", caching.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if suffix in (".js", ".css"):
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@cache
def page_of(folder: Path, page: str) -> str:
    """Streamlit's page, which also names the scripts that a page of the dashboard begins with.

    Args:
        folder: of Streamlit's static files.
        page: its path, empty for the first one.
    """
    html = (folder / "index.html").read_text(encoding="utf-8")
    hints = [
        f'<link rel="modulepreload" crossorigin href="./{file}">'
        for file in scripts_of((*NEEDED_FIRST, *_NEEDED_BY_PAGE.get(page, ())), folder)
        if file not in html
    ]
    html = html.replace("</head>", "\n".join((*hints, _BEFORE_SCRIPTS, "</head>")), 1)
    html = html.replace("<title>Streamlit</title>", f"<title>{_TITLE}</title>", 1)
    return html.replace('<div id="root"></div>', f'<div id="root"><div class="before-scripts">{_TITLE}</div></div>', 1)


def scripts_of(elements: Iterable[str], folder: Path) -> list[str]:
    """Scripts of kinds of elements and all that they import, by path below the folder; unknown kinds have none.

    Args:
        elements: names of Streamlit's modules, as `Metric`.
        folder: of Streamlit's static files, with the manifest of its build.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    chunks = [key for name in elements for key in manifest if key.endswith(f"/{name}/{name}.tsx")]
    seen: dict[str, None] = {}
    for key in chunks:
        seen.update(dict.fromkeys(_with_imports(key, manifest, set())))
    return [file for file in seen if file.endswith(".js")]


def _with_imports(key: str, manifest: Mapping[str, dict], visited: set[str]) -> Iterator[str]:
    if key in visited or key not in manifest:
        return
    visited.add(key)
    yield manifest[key]["file"]
    for imported in manifest[key].get("imports", ()):
        yield from _with_imports(imported, manifest, visited)
