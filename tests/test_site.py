"""The documentation site builds strictly, covers the public API and loads nothing external.

Do not use --quiet: mkdocs then does not count the warnings that --strict turns into a failure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mkdocs
import pytest
import yaml

import phonemo
from tests.laws import REPOSITORY
from tests.test_docs import FENCE

assert mkdocs  # absent in the light job, where this module is skipped

INDENTED = re.compile(r"(?:^    \S.*\n)+", re.MULTILINE)
FENCED = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
OUTSIDE = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:[^\"\s>]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def text_of(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_every_public_name_is_in_the_reference(site):
    page = text_of(site, "reference/phonemo.html")
    for name in phonemo.__all__:
        assert name in page, name


def test_every_command_and_its_options_are_in_the_reference(site):
    import typer

    from phonemo.cli.main import app

    page = text_of(site, "reference/command-line.html")
    commands = typer.main.get_command(app).commands
    assert len(commands) > 20
    for name, command in commands.items():
        assert f'<h2 id="{name}"' in page, name
        for option in command.params:
            for option_name in getattr(option, "opts", []):
                if option_name.startswith("--"):
                    assert option_name in page, f"{name} {option_name}"


def test_every_key_of_a_config_is_in_the_reference(site):
    from phonemo.config import RunConfig

    page = text_of(site, "reference/config.html")
    for name in (
        *RunConfig.model_fields,
        "loggers",
        "wait_minutes",
        "alpha",
        "drop_near_duplicates",
    ):
        assert f"<code>{name}</code>" in page, name


def test_the_site_loads_no_external_resources(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for path in pages:
        assert OUTSIDE.findall(path.read_text(encoding="utf-8")) == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:|@import", path.read_text(encoding="utf-8")), path


def test_every_document_is_in_the_navigation(site):
    listed = set(
        re.findall(r"[\w/-]+\.md", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))
    )
    documents = {
        str(path.relative_to(REPOSITORY / "docs")) for path in (REPOSITORY / "docs").rglob("*.md")
    }
    assert documents == listed


def test_links_out_of_the_documents_are_paths(site):
    page = text_of(site, "training.html")
    assert 'href="../' not in page.replace('href="../docs', "")


def test_a_broken_link_fails_the_build(tmp_path):
    config = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[gone](gone.md)\n", encoding="utf-8")
    settings = {key: config[key] for key in ("site_name", "theme", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, timeout=120
    )
    assert result.returncode != 0


class TestChinese:
    """README.zh-CN.md has the same commands and numbers as README.md."""

    @pytest.fixture(scope="class")
    @classmethod
    def readmes(cls) -> tuple[str, str]:
        names = ("README.md", "README.zh-CN.md")
        english, chinese = ((REPOSITORY / name).read_text(encoding="utf-8") for name in names)
        return english, chinese

    def test_every_command_is_one_of_the_original(self, readmes):
        english, chinese = readmes
        lines = {line.strip() for line in english.splitlines()}
        blocks = INDENTED.findall(FENCE.sub("", chinese))
        assert len(blocks) >= 5
        for line in "".join(blocks).splitlines():
            assert line.strip() in lines, line

    def test_the_python_is_the_original(self, readmes):
        english, chinese = readmes
        assert FENCED.findall(chinese) == FENCED.findall(english)[:1]

    def test_the_results_are_the_original(self, readmes):
        english, chinese = readmes
        rows = [
            line for line in english.splitlines() if re.match(r"\| (emodb|nemo|ravdess) \|", line)
        ]
        assert len(rows) >= 8
        assert [line for line in chinese.splitlines() if line in rows] == rows

    def test_it_names_the_original(self, readmes):
        english, chinese = readmes
        assert "(README.md)" in chinese.split("\n## ")[0]
        assert "(README.zh-CN.md)" in english.split("\n## ")[0]
