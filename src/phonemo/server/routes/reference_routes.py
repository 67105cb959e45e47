"""The description of the API, for people and for programs, and pages for lost browsers."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from phonemo.server.auth import AccessPolicy
from phonemo.server.formats import accepted_formats
from phonemo.server.reference.markup import prose, tag
from phonemo.server.reference.reference_page import ServerFacts, html_page, reference_page
from phonemo.server.service import Service

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+/[A-Za-z0-9._~/-]*")
_UNKNOWN_ADDRESS = "http://127.0.0.1:8000/"
_REVALIDATED = {"Cache-Control": "no-cache"}


def reference_router(service: Service, access: AccessPolicy, app: FastAPI) -> APIRouter:
    """Return the routes of the description."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def document(request: Request) -> Response:
        access.check_about(request.headers)
        return JSONResponse(app.openapi())

    if not service.config.page:
        return router

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        access.check_about(request.headers)
        facts = ServerFacts(
            base=_base_of(request),
            models=list(service.registry.models),
            formats=accepted_formats(),
            limits=service.limits,
            needs_key=access.wants_key,
        )
        return HTMLResponse(reference_page(app.openapi(), facts), headers=_REVALIDATED)

    @router.get("/redoc")
    async def other_docs() -> Response:
        return RedirectResponse("docs", 308)

    @router.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse("web/icon.svg", 308)

    return router


def wants_html(request: Request) -> bool:
    """Whether the client is a browser that opens a page."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def not_found_page(request: Request, message: str, request_id: str) -> Response:
    """Return the 404 for a browser, with links to the pages that exist."""
    root = "../" * (len(PurePosixPath(request.scope["path"]).parts) - 2)
    page, api = tag("a", "The page", href=root or "./"), tag("a", "The API", href=f"{root}docs")
    body = tag(
        "main",
        tag("h1", "No such address"),
        tag("p", prose(message.removeprefix("no such address; "))),
        tag("p", page, " · ", api),
        tag("p", f"Request {request_id}", class_="small"),
        id="main",
        tabindex="-1",
        class_="not-found",
    )
    return HTMLResponse(html_page("phonemo: no such address", body, root), 404)


def _base_of(request: Request) -> str:
    """Return the address that the client used, if it is one that is safe to show."""
    base = str(request.base_url)
    return base if _ADDRESS.fullmatch(base) else _UNKNOWN_ADDRESS
