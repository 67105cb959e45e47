"""What programs find beside their inputs: earlier sites, results of runs, caches, the machine."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from phonemo.corpora.copies import digests
from phonemo.evaluation.comparison_text import comparison_data
from phonemo.evaluation.report import _read_runs
from phonemo.evaluation.significance import compare_read, read_run
from phonemo.integrations.mcp_tools.recording_roots import RecordingRoots, open_regular
from phonemo.runtime.checks import machine
from phonemo.runtime.phonemes.alignment_folder import AlignmentFolder
from phonemo.site.write_site import check_target
from tests.fuzz.judging import cut, scratch, told, written
from tests.fuzz.structures import edited

_ROOT = Path(__file__).resolve().parents[2]


# Sites ----------------------------------------------------------------------------------------


def site_folder(data: bytes) -> None:
    """The service worker and site.json of a folder that is to be replaced, and a file beside."""
    worker, card, stranger = cut(data, 3)
    folder = written("site/sw.js", worker).parent
    written("site/site.json", card)
    note = written("site/notes.txt", stranger)
    if not stranger:
        note.unlink()
    told(check_target, folder, True)


# Alignments -----------------------------------------------------------------------------------


def aligned_folder(data: bytes) -> None:
    """The rows of an earlier alignment; its table is written."""
    folder = written("aligned/alignment.jsonl", data).parent
    found = told(AlignmentFolder, folder, {"edges": "waveform"}, {"one": "one", "two": "two"})
    if found is not None and told(found.finish) is not None:
        assert (folder / "phonemes.csv").is_file()


# Results of runs ------------------------------------------------------------------------------


@cache
def run_files() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Metrics of a run, and rows that fit them."""
    metrics = json.loads((_ROOT / "results/emodb/metrics.json").read_text("utf-8"))
    names = metrics["results"]["confusion"]["labels"]
    scores = dict.fromkeys(names, 0.0)
    common = {"seed": metrics["seeds"][0], "fold": "1", "speaker": "03", "distance": 1.0}
    rows = [
        {
            **common,
            "id": f"a{n}",
            "gender": None,
            "truth": name,
            "label": name,
            "scores": scores | {name: 1.0},
        }
        for n, name in enumerate(names)
    ]
    return metrics, rows


def run_folder(data: bytes) -> None:
    """The bytes of metrics.json and predictions.jsonl."""
    _read_run(*cut(data, 2))


def run_fields(data: bytes) -> None:
    """Their contents, edited."""
    found = edited(list(run_files()), data)
    metrics, rows = (*found, None, None)[:2] if isinstance(found, list) else (found, None)
    lines = map(_dumped, rows if isinstance(rows, list) else [rows])
    _read_run(_dumped(metrics), b"\n".join(lines))


def _read_run(metrics: bytes, rows: bytes) -> None:
    folder = written("runs/one/metrics.json", metrics).parent
    written("runs/one/predictions.jsonl", rows)
    told(_read_runs, folder.parent)
    found = told(read_run, folder)
    if found is not None:
        comparison = told(compare_read, found, found)
        if comparison is not None:
            json.dumps(comparison_data(found.metrics, found.metrics, comparison))


def _dumped(value: Any) -> bytes:
    return json.dumps(value, default=lambda one: one.hex()).encode()


# Paths, caches and the machine ----------------------------------------------------------------


def recording_path(data: bytes) -> None:
    """A path that a client of phonemo mcp sends: what is found is inside the folder."""
    path = data.decode("utf-8", "surrogateescape")
    folder = written("roots/inside/a.wav", b"RIFF").parent
    written("roots/outside/b.wav", b"RIFF")
    if not (folder / "link.wav").is_symlink():
        (folder / "link.wav").symlink_to("../outside/b.wav")
    found = told(RecordingRoots([folder]).find, path, 10)
    if found is not None:
        assert found.path.is_relative_to(folder.resolve())
        assert found.name.isprintable()
        open_regular(found).close()


def digest_cache(data: bytes) -> None:
    """The cache of recordings' digests: a database's bytes, or after r: the cells of a row."""
    path = scratch() / "recordings.sqlite"
    path.unlink(missing_ok=True)
    if data[:2] != b"r:":
        path.write_bytes(data)
    digest, words = cut(data[2:], 2)
    with closing(sqlite3.connect(path)) as database:
        if data[:2] == b"r:":
            database.execute("CREATE TABLE recordings (key BLOB PRIMARY KEY, digest, words)")
            row = (b"key", _cell(digest), _cell(words))
            database.execute("INSERT INTO recordings VALUES (?, ?, ?)", row)
            database.commit()
        for cache_ in digests._use(database):
            found = cache_.get(b"key")
            assert found is None or found.digest is None or isinstance(found.digest, bytes)


def _cell(data: bytes) -> Any:
    """n: nothing, t: a text, i: a number; anything else are bytes."""
    kinds = {b"n": None, b"t": data[1:].decode("utf-8", "replace"), b"i": len(data)}
    return kinds.get(data[:1], data)


def machine_files(data: bytes) -> None:
    """/proc/cpuinfo, the driver's file and a container's limit, as phonemo doctor reads them."""
    names = ("/proc/cpuinfo", str(machine._CARD), "/sys/fs/cgroup/memory.max")
    files = {
        name: written(f"machine/{number}", text)
        for number, (name, text) in enumerate(zip(names, cut(data, 3), strict=True))
    }
    before = machine.Path, machine._CARD
    machine.Path = lambda path: files.get(str(path), before[0](path))  # type: ignore[assignment,misc]
    machine._CARD = files[str(before[1])]
    try:
        for section in (machine.machine(), machine.devices()):
            assert section.plain()
    finally:
        machine.Path, machine._CARD = before  # type: ignore[misc]
