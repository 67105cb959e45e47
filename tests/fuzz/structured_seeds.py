"""Seeds of the targets whose inputs are edits, archives, requests and programs' own files."""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path

from phonemo.audio.pcm import ENCODINGS
from tests.fuzz.array_targets import archives
from tests.fuzz.judging import CUT
from tests.fuzz.program_targets import run_files
from tests.fuzz.structured_targets import _RESULTS, _TRANSCRIPTS, _job, valid_profile
from tests.fuzz.targets import TARGETS
from tests.pcm import encode_pcm, voice

_MODEL = b'--cut\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--cut--\r\n'
_NAMES = list(ENCODINGS)
Seeds = dict[str, bytes]
_EDITS = {"none": b"", "one": b"\x00\x01\x00\x05", "two": b"\x00\x03\x02\x00\x00\x07\x06\x02"}


def structured_seeds(sound: bytes, corpus: Path) -> dict[str, Seeds]:
    """Target -> file name -> content.

    Args:
        sound: a WAV file.
        corpus: where the seeds lie that need a package which is missing.
    """
    job = _job()
    lines = b"\n".join(_json(one) for one in job["plan"])
    edits = ("request_profile", "profile_fields", "job_fields", "run_fields")
    return {
        **dict.fromkeys(edits, _EDITS),
        **dict.fromkeys(("turn_objects", "transcript_fields"), _named(_TRANSCRIPTS)),
        "other_results": _named(_RESULTS),
        "request": _requests(sound),
        "mcp_lines": _mcp(),
        "mcp_call": {
            "recognize": _joined(b"recognize_emotion", b""),
            "compare": _joined(b"compare_recordings", b"\x00\x07\x00\x05"),
        },
        "recording_path": {"inside": b"a.wav", "link": b"link.wav", "above": b"../outside/b.wav"},
        "profile": {"profile.json": _json(valid_profile())},
        "archive": {"adaptation.npz": b"a" + archives()[0], "phonemes.npz": b"p" + archives()[1]},
        "archive_arrays": {"adaptation": b"a", "phonemes": b"p", "cast": b"a\x00\x02\x01\x00"},
        "job_folder": {
            "job": _joined(_json(job["card"]), lines, _json(job["tally"]), _json(job["profile"]))
        },
        "parquet": _parquet(corpus),
        "parquet_columns": {"file": b"\x00\x00", "times": b"\x01\x01\x02\x02\x05\x02"},
        "pcm": {
            "s16le": bytes([_NAMES.index("s16le")])
            + b"\x00\x01\x20"
            + encode_pcm(voice(1600), "s16le"),
            "mulaw": bytes([_NAMES.index("mulaw")])
            + b"\x01\x01\x20"
            + encode_pcm(voice(1600), "mulaw"),
        },
        "packets": {"two": struct.pack("<BBH", 0, 1, 8) + bytes(8) + struct.pack("<BBH", 2, 2, 0)},
        "run_folder": _run(),
        "site_folder": _site(),
        "aligned_folder": {"two.jsonl": _alignment()},
        "folder_names": {
            "emotions": b"angry/a.wav\nsad/b.wav",
            "ravdess": b"Actor_01/03-01-05-01-02-01-01.wav\nActor_02/03-01-06-01-02-01-02.wav",
            "emodb": b"wav/03a01Wa.wav\nlablaut/03a01Wa.lablaut",
            "nemo": b"data.tsv\nsamples/a_fear_1.wav",
        },
        "digest_cache": {"cells": _joined(b"r:" + b"\x01" * 16, b"\x02" * 8), **_database()},
        "machine_files": {
            "files": _joined(b"model name\t: X\nflags\t: avx2\n", b"NVRM version: 1\n", b"1000\n")
        },
    }


def _requests(sound: bytes) -> Seeds:
    emotions = b"POST /v1/audio/emotions"
    form = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%s\r\n'
    profiles = _joined(
        *(b"POST /v1/audio/profiles", b"", b"content-type: multipart/form-data; boundary=cut"),
        form % sound + _MODEL,
    )
    return {
        "raw": _joined(emotions, b"top_k=1&model=tiny", b"content-type: audio/wav", sound),
        "put": _joined(b"PUT /v1/audio/emotions/a.wav", b"channels=split", b"", sound),
        "profiles": profiles,
        **{
            name: _joined(b"GET " + path, b"", b"", b"")
            for name, path in (("models", b"/v1/models"), ("openapi", b"/openapi.json"))
        },
    }


def _mcp() -> Seeds:
    call = {"name": "emotion_timeline", "arguments": {"path": "a.wav"}}
    lines = [
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call},
    ]
    return {"calls": b"\n".join(map(_json, lines)), "no-object": b"[]\n{"}


def _parquet(corpus: Path) -> Seeds:
    """Written by pyarrow; without it, the files that are there."""
    if TARGETS["parquet"].missing:
        return {path.name: path.read_bytes() for path in (corpus / "parquet").iterdir()}
    import pyarrow as pa
    from pyarrow import parquet

    stream = io.BytesIO()
    table = pa.table({"file": ["a.wav", "b.wav"], "start": [0.5, None], "agent": ["7", "8"]})
    parquet.write_table(table, stream)
    return {"rows.parquet": stream.getvalue()}


def _run() -> Seeds:
    metrics, rows = run_files()
    return {"run": _joined(_json(metrics), b"\n".join(map(_json, rows)))}


def _site() -> Seeds:
    worker = b'const SITE = {"version": "1", "files": {"site.json": "sha", "a.js": "sha"}\n};\n'
    return {"site": _joined(worker, b"{}", b""), "other": _joined(worker, b"{}", b"mine")}


def _alignment() -> bytes:
    span = {"symbol": "a", "start": 0.1, "end": 0.25, "confidence": 0.9}
    rows = [
        {"settings": {"edges": "waveform"}},
        {"id": "one", "file": "=a.wav", "speaker": "s1", "seconds": 0.5, "phonemes": [span]},
        {"id": "two", "file": "b.wav", "error": "too long", "code": "audio_too_long"},
    ]
    return b"\n".join(map(_json, rows)) + b"\n"


def _database() -> Seeds:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sqlite"
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA page_size = 512")
            columns = "key BLOB PRIMARY KEY, digest BLOB, words BLOB"
            database.execute(f"CREATE TABLE recordings ({columns})")
            database.execute("INSERT INTO recordings VALUES (?, ?, ?)", (b"key", b"d", b"abcd"))
            database.commit()
        return {"database": path.read_bytes()}


def _named(known: dict[bytes, object]) -> Seeds:
    return {name.decode(): _joined(name, b"\x00\x02\x00\x05") for name in known}


def _json(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def _joined(*parts: bytes) -> bytes:
    return CUT.join(parts)
