"""HTML of /docs: endpoints with examples, live streams, errors, and the limits as configured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phonemo.server.reference.examples import Example, examples_of, stream_examples
from phonemo.server.reference.markup import Markup, joined, prose, tag
from phonemo.server.reference.operations import (
    ErrorRow,
    Operation,
    Option,
    read_errors,
    read_operations,
)
from phonemo.server.settings import ServeLimits

_TITLE = "phonemo: the API of this server"


@dataclass(frozen=True)
class ServerFacts:
    """What the page says about this server, beside its OpenAPI document."""

    base: str
    """Its address, with a slash at its end."""
    models: Sequence[str]
    """Names of the served models, the default first; empty while it starts."""
    formats: Sequence[str]
    limits: ServeLimits
    needs_key: bool


def reference_page(document: Mapping[str, Any], facts: ServerFacts) -> str:
    """Return the page.

    Args:
        document: the OpenAPI document.
        facts: what else there is to say about this server.
    """
    operations = read_operations(document)
    sections = (
        _start(facts),
        *(_operation(operation, facts.base) for operation in operations),
        _streams(document["info"]["description"], facts),
        _errors(read_errors(document)),
        _limits(facts.limits),
    )
    main = tag("main", *sections, id="main", tabindex="-1")
    body = tag("div", _navigation(operations), main, class_="reference")
    return html_page(_TITLE, body, "")


def html_page(title: str, body: Markup, root: str) -> str:
    """Return a whole page with the head and the header that all pages of the API have.

    Args:
        title: its title.
        body: its content.
        root: relative address of the server's root, empty or with a slash at its end.
    """
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        Markup(f'<link rel="icon" type="image/svg+xml" href="{root}web/icon.svg">'),
        *(
            Markup(f'<link rel="stylesheet" href="{root}web/{name}.css">')
            for name in ("tokens", "base", "reference")
        ),
        tag("script", src=f"{root}web/theme-first.js"),
        tag("script", src=f"{root}web/reference.js", type="module"),
    )
    skip = tag("a", "Skip to the content", class_="skip", href="#main")
    page = joined(tag("head", head), tag("body", skip, _header(root), body))
    return f"<!doctype html>\n{tag('html', page, lang='en')}\n"


def _header(root: str) -> Markup:
    icon = Markup(f'<img src="{root}web/icon.svg" alt="" width="32" height="32">')
    links = joined(
        tag("a", "Page", href=root or "./"),
        tag("a", "API", href=f"{root}docs"),
        tag("a", "OpenAPI", href=f"{root}openapi.json"),
    )
    theme = tag("button", "Theme", type="button", id="theme", class_="subtle", hidden="")
    toolbar = tag("div", tag("nav", links, aria_label="Server"), theme, class_="toolbar")
    return tag("header", tag("p", icon, " phonemo", class_="brand"), toolbar, class_="site-header")


def _navigation(operations: Iterable[Operation]) -> Markup:
    links = [
        ("start", "This server"),
        *((one.anchor, f"{one.method} {one.path}") for one in operations),
        ("live", "WS /v1/audio/stream"),
        ("errors", "Errors"),
        ("limits", "Limits"),
    ]
    items = (tag("li", tag("a", text, href=f"#{anchor}")) for anchor, text in links)
    return tag("nav", tag("ul", *items), aria_label="Contents", class_="contents")


def _section(anchor: str, title: Markup, *content: str) -> Markup:
    heading = tag("h2", title, id=f"{anchor}-title")
    return tag(
        "section", heading, *content, id=anchor, class_="card", aria_labelledby=f"{anchor}-title"
    )


def _start(facts: ServerFacts) -> Markup:
    rows = [
        ("Address", tag("code", facts.base, class_="address")),
        ("Models", ", ".join(facts.models) or "the server starts"),
        ("Formats", ", ".join(facts.formats)),
        ("API key", "required: Authorization: Bearer KEY" if facts.needs_key else "not required"),
    ]
    entries = (joined(tag("dt", name), tag("dd", value)) for name, value in rows)
    lead = "Emotions, and the phonemes that carry them, from recordings and live streams."
    needs = "The examples run as they stand, with a recording named my.wav in the current folder"
    needs += " and the key in PHONEMO_KEY." if facts.needs_key else "."
    return tag(
        "section",
        tag("h1", "The API of this server"),
        tag("p", lead, class_="lead"),
        tag("dl", *entries, class_="facts"),
        tag("p", needs),
        id="start",
        class_="intro",
    )


def _operation(operation: Operation, base: str) -> Markup:
    method = tag("span", operation.method, class_=f"method {operation.method.lower()}")
    title = joined(method, " ", tag("code", operation.path))
    key = [tag("p", "Needs an API key.", class_="small")] if operation.needs_key else []
    return _section(
        operation.anchor,
        title,
        *(tag("p", prose(part)) for part in _paragraphs(_described(operation))),
        *key,
        *_bodies(operation.media_types),
        _fields("Options", operation.options, operation.anchor),
        _examples(examples_of(operation, base), operation.anchor),
        _answer(operation),
    )


def _described(operation: Operation) -> str:
    summary = operation.summary
    return operation.description or (summary if summary.endswith("?") else f"{summary}.")


def _bodies(media_types: Sequence[str]) -> list[Markup]:
    if not media_types:
        return []
    names = [tag("code", name) for name in media_types]
    listed = joined(*(piece for name in names for piece in (", ", name)))
    return [tag("p", "Body: ", Markup(listed.removeprefix(", ")), class_="small")]


def _answer(operation: Operation) -> Markup:
    if not operation.answer:
        return Markup("")
    table = _fields("", operation.answer, f"{operation.anchor}-answer")
    return tag("details", tag("summary", "Fields of the JSON answer"), table)


def _fields(title: str, options: Sequence[Option], anchor: str) -> Markup:
    if not options:
        return Markup("")
    rows = [(tag("code", one.name), _kind_of(one), prose(one.description or "")) for one in options]
    heading = tag("h3", title) if title else Markup("")
    label = title or "Fields of the answer"
    return joined(heading, _table(("Name", "Value", "Meaning"), rows, f"{label}, {anchor}"))


def _kind_of(option: Option) -> str:
    if option.default:
        return f"{option.kind}; default {option.default}"
    return f"{option.kind}; required" if option.required and option.kind == "file" else option.kind


def _examples(examples: Sequence[Example], anchor: str) -> Markup:
    blocks = (
        tag(
            "div",
            tag("h4", one.language),
            _code(one.text, f"{one.language} example, {anchor}"),
            class_="example",
            data_language=one.language,
        )
        for one in examples
    )
    return joined(tag("h3", "Examples"), tag("div", *blocks, class_="examples"))


def _code(text: str, label: str) -> Markup:
    return tag("pre", tag("code", text), tabindex="0", role="region", aria_label=label)


def _streams(description: str, facts: ServerFacts) -> Markup:
    title = joined(tag("span", "WS", class_="method"), " ", tag("code", "/v1/audio/stream"))
    return _section(
        "live",
        title,
        *(tag("p", prose(part)) for part in _paragraphs(description)[1:]),
        _examples(stream_examples(facts.base, facts.needs_key), "live"),
    )


def _errors(rows: Iterable[ErrorRow]) -> Markup:
    form = '{"error": {"message", "type", "param", "code", "request_id"}}'
    table = [(row.status, tag("code", row.code), row.message) for row in rows]
    return _section(
        "errors",
        Markup("Errors"),
        tag("p", "Every error is ", tag("code", form), ". The code is stable."),
        _table(("Status", "Code", "For example"), table, "Table of errors"),
    )


def _limits(limits: ServeLimits) -> Markup:
    rows = [
        (tag("code", name), _amount(getattr(limits, name)), prose(field.description or ""))
        for name, field in ServeLimits.model_fields.items()
    ]
    return _section(
        "limits",
        Markup("Limits"),
        tag("p", "As this server is configured; its operator can change them."),
        _table(("Key of limits", "Value", "Meaning"), rows, "Table of limits"),
    )


def _amount(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> Markup:
    columns = tag("tr", *(tag("th", text, scope="col") for text in head))
    body = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    table = tag("table", tag("thead", columns), tag("tbody", *body))
    return tag("div", table, class_="table", tabindex="0", role="region", aria_label=label)


def _paragraphs(text: str) -> list[str]:
    return [part for part in text.split("\n\n") if part.strip()]
