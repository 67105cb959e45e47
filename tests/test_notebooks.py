"""The three notebooks run completely, in a kernel of this Python."""

from __future__ import annotations

import asyncio
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


def test_there_are_three_notebooks():
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path):
    """Outputs would become outdated and expose details of the machine that ran them."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or not cell.outputs
        assert cell.cell_type == "markdown" or cell.execution_count is None


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A copy of examples/, with a kernel of this Python; nothing is written elsewhere."""
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
def test_notebooks_run(path, folder):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(folder)}}
    )
    asyncio.run(client.async_execute())  # execute() would leave its event loop open
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert len(outputs) >= 4
    assert not [output for output in outputs if output.output_type == "error"]
    stderr = [
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]
    # tqdm, which transformers imports, misses the widgets of a notebook
    assert not [text for text in stderr if "Warning" in text and "TqdmWarning" not in text]
    keep = folder.parent / "executed"
    keep.mkdir(exist_ok=True)
    nbformat.write(notebook, keep / path.name)
