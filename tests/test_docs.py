"""Every relative link in the documents has a target, headings included."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.laws import REPOSITORY

NAMES = ("README.md", "RESULTS.md", "LOG.md", "CHANGELOG.md", "CONTRIBUTING.md")
DOCUMENTS = [
    *(REPOSITORY / name for name in NAMES if (REPOSITORY / name).is_file()),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")


def links_in(text: str) -> list[str]:
    """Targets of links and images, without fenced and inline code."""
    prose = CODE.sub("", FENCE.sub("", text))
    return [first or second for first, second in LINK.findall(prose)]


def anchors_in(text: str) -> set[str]:
    """The anchors of a document's headings."""
    titles = HEADING.findall(FENCE.sub("", text))
    bare = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in bare}


def broken_links(path: Path) -> list[str]:
    """The broken relative links of a document."""
    broken = []
    for link in links_in(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and not has_anchor(target, anchor)):
            broken.append(link)
    return broken


def has_anchor(target: Path, anchor: str) -> bool:
    """Whether a document has the heading; always true for other files."""
    return target.suffix != ".md" or anchor in anchors_in(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_has_a_target(path):
    assert broken_links(path) == []


def test_the_documents_for_newcomers_exist():
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"):
        assert (REPOSITORY / name).read_text(encoding="utf-8").strip(), f"{name} is empty"


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# A title, with `code`\n", encoding="utf-8")
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-title-with-code) [c](#here) [d](https://a.example)\n"
        "[e](gone.md) ![f](gone.png) [g](other.md#gone) [h](#gone) `[i](code.md)`\n"
        '```\n[j](fenced.md)\n```\n<img src="gone.svg">\n',
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "gone.png", "other.md#gone", "#gone", "gone.svg"]
