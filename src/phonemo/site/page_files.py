"""The page's files, changed where a page without a server differs from a server's."""

from __future__ import annotations

import re
from pathlib import Path

from phonemo.errors import CheckpointError

WEB = Path(__file__).parents[1] / "web"
_LOCAL = WEB / "local"
#: Files that only a server's page uses.
_SERVER_ONLY = {"api.js", "livesocket.js", "serverbackend.js", "reference.js", "reference.css"}
#: Parts of the page, which are written into it or built from.
_PARTS = {"local/place.html", "local/serviceworker.js"}
#: A module of the server's page -> what the site has in its place.
_REPLACED = {
    "backend.js": 'export { backend } from "./local/backend.js";\n',
    "placewords.js": 'export { PLACE_WORDS } from "./local/words.js";\n',
}
#: The rules that the browser enforces: a static host sends no headers, so the page has them. The
#: worker starts from a blob, and so inherits them; a file's worker would not.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; manifest-src 'self'; form-action 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types phonemo"
)
_SERVER_BLOCK = re.compile("<!-- server only -->.*?<!-- /server only -->", re.DOTALL)


def page_files() -> dict[str, bytes]:
    """Return path below the site -> content, of everything but models, engine and lists of files.

    Raises:
        CheckpointError: this copy of phonemo lacks files of the page.
    """
    paths = [path for path in sorted(WEB.rglob("*")) if path.is_file()]
    names = {path.relative_to(WEB).as_posix(): path for path in paths}
    if "phonemo/index.js" not in names:
        raise CheckpointError(
            f"{WEB}: expected the page with phonemo/index.js, got an incomplete copy; install "
            "phonemo again"
        )
    left_out = _SERVER_ONLY | _PARTS | {"index.html"}
    files = {
        f"web/{name}": path.read_bytes() for name, path in names.items() if name not in left_out
    }
    replaced = {f"web/{name}": text.encode() for name, text in _REPLACED.items()}
    return {"index.html": _index_html().encode(), **files, **replaced}


def service_worker() -> str:
    """The script of the service worker, to which the constant SITE is added."""
    return (_LOCAL / "serviceworker.js").read_text(encoding="utf-8")


def _index_html() -> str:
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    style = '<link rel="stylesheet" href="web/local/place.css">'
    manifest = '<link rel="manifest" href="web/local/app.webmanifest">'
    parts = {
        "<!-- site: policy -->": policy,
        "<!-- site: style -->": f"{style}\n  {manifest}",
        "<!-- site: place -->": (_LOCAL / "place.html").read_text(encoding="utf-8").strip(),
        "Runs on this server; audio is not stored.": "Runs in this browser; audio stays there.",
    }
    html = _SERVER_BLOCK.sub("", (WEB / "index.html").read_text(encoding="utf-8"))
    for mark, text in parts.items():
        html = html.replace(mark, text)
    return html
