"""The three notebooks run from their first cell to their last, in a kernel of this Python."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.laws import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))


def test_there_are_three():
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path):
    """They would go stale, and hold what the machine of whoever ran them looks like."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or not cell.outputs
        assert cell.cell_type == "markdown" or cell.execution_count is None


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A copy of examples/, with a kernel that is this very Python; nothing is written elsewhere."""
    pytest.importorskip("torch")
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("work"))
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    started = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    specification = {"argv": started, "display_name": "tests", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(specification))
    for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    return tmp_path / "examples" / "notebooks"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*zmq.*:RuntimeWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, folder):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    assert len(outputs) >= 4
    assert not [one for one in outputs if one.output_type == "error"]
    said = [one.text for one in outputs if one.output_type == "stream" and one.name == "stderr"]
    # tqdm, which transformers imports, misses the widgets of a notebook
    assert not [text for text in said if "Warning" in text and "TqdmWarning" not in text]
    keep = folder.parent / "executed"
    keep.mkdir(exist_ok=True)
    nbformat.write(notebook, keep / path.name)
