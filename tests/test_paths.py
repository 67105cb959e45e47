"""The pages that explain the code name existing files and cover every room."""

from __future__ import annotations

import re

import pytest

from tests.laws import REPOSITORY

PACKAGE = REPOSITORY / "src" / "phonemo"
PAGES = sorted((REPOSITORY / "docs" / "explanation").glob("path-of-*.md"))
FILE = re.compile(r"`([\w/]+\.py)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_exists(page):
    names = FILE.findall(page.read_text(encoding="utf-8"))
    assert len(names) > 20
    assert [name for name in names if not (PACKAGE / name).is_file()] == []


def test_the_two_pages_cover_every_room():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    rooms = {name.split("/")[0] for name in FILE.findall(text) if "/" in name}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - rooms <= {"integrations"}
