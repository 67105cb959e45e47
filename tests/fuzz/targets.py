"""Every fuzzing target by its name; each takes bytes and raises only where it found a fault.

This module imports nothing of phonemo, so that atheris can instrument what a target imports.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Target:
    """A function of a module, which is imported when it is first needed."""

    module: str
    function: str
    max_len: int = 4096
    """No input is longer."""
    words: tuple[str, ...] = ()
    """What a mutation may write: the parser's own words."""
    needs: tuple[str, ...] = ()
    """Packages beyond the base install."""

    @property
    def missing(self) -> list[str]:
        """Those that are not installed."""
        return [one for one in self.needs if not _is_installed(one)]

    def load(self) -> Callable[[bytes], None]:
        """The function itself."""
        found: Callable[[bytes], None] = getattr(
            importlib.import_module(self.module), self.function
        )
        return found

    def __call__(self, data: bytes) -> None:
        """One execution."""
        self.load()(data)


@cache
def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


_TEXTS, _SOUND = "tests.fuzz.text_targets", "tests.fuzz.audio_targets"
_CORPORA, _MODELS = "tests.fuzz.corpus_targets", "tests.fuzz.model_targets"
_SERVER, _TRAIN = "tests.fuzz.server_targets", "tests.fuzz.train_targets"
_FIELDS, _ARRAYS = "tests.fuzz.structured_targets", "tests.fuzz.array_targets"
_PROGRAMS, _REQUESTS = "tests.fuzz.program_targets", "tests.fuzz.request_targets"
_SERVES = ("fastapi", "python-multipart", "prometheus-client")

_CUT = "\n=8<=\n"
_DIGITS = ("9" * 310, "9" * 4400, "1e308", "-1", "NaN", "Infinity", "\u0663")
_JSON = ('{"', '":', "[" * 1200, "null", "true", '"\\ud800"', '"\\n"', *_DIGITS)
_AUDIO = (
    *("RIFF", "RIFX", "RF64", "WAVE", "fmt ", "data", "ds64", "LIST", "fact"),
    *("fLaC", "OggS", "OpusHead", "\x01vorbis", "FORM", "AIFF", "AIFC", "COMM", "SSND", "ID3"),
    *("\xff\xff\xff\xff", "\x00\x00\x00\x80", "Xing", "\xff\xfb\x90"),
    *(".snd", "caff", "desc", "NIST_1A", "sample_count -i 0", "sample_coding", "riff\x2e\x91"),
)
_MEDIA = (
    *("ftyp", "moov", "moof", "mdat", "trak", "stsz", "stsd", "mp4a", "esds", "elst", "edts"),
    *("\x1aE\xdf\xa3", "\x18S\x80g", "\x1fC\xb6u", "\xa3", "\x42\x82", "A_OPUS", "OpusHead"),
    *("\xff\xf1", "#!AMR\n", "#!AMR-WB\n", "0&\xb2u\x8ef\xcf\x11", "RIFF", "fmt ", "data"),
    *("\xff\xff\xff\xff", "\x00\x00\x00\x00", "\x7f\xff\xff\xff", "\x01" + "\xff" * 7),
)
_ROW = ('"id"', '"file"', '"start"', '"end"', '"phonemes"', '"alphabet"', '"symbols"', '"times"')
_YAML = (
    *("!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "<<: "),
    *("&a ", "*a", "? ", "- ", ": ", "{", "}", "[", "]", "2001-01-01 00:00:00", "0x", "1:2:3"),
    *("limits", "access", "keys", "models", "train", "protocol", "labels", "arms", "every"),
)
_PRAAT = ('"IntervalTier"', '"TextTier"', '"ooTextFile"', '"TextGrid"', '""', "!", '"speaker"')
_SUBTITLES = (
    *("WEBVTT", " --> ", "00:01", ":00.5", ",250", "<v Ann>", "</v>", "[SPEAKER_00]: ", "\n\n"),
    *("NOTE ", "STYLE", "&lt;", "[anger 0.75]", "Ann: ", "{\\an8}", "99999:59:59.999"),
)
_TRANSCRIPT = (
    *('"segments"', '"words"', '"word"', '"start"', '"end"', '"speaker"', '"text"', '"chunks"'),
    *('"offsets"', '"timestamp"', '"timestamps"', '"from"', '"diarization"', '"output"', '"file"'),
)

_PATHS = (
    *("POST /v1/audio/emotions", "PUT /v1/audio/emotions/a.wav", "POST /v1/audio/profiles"),
    *("GET /v1/models", "GET /v1/profiles", "GET /openapi.json", "GET /health/ready", "GET /docs"),
)
_MCP = (
    *('"jsonrpc": "2.0"', '"method": "tools/call"', '"method": "tools/list"', '"arguments"'),
    *('"recognize_emotion"', '"compare_recordings"', '"paths"', '"path": "a.wav"', '"id": 1'),
)
_TOOLS = ("sensevoice", "speechbrain", "superb", "transformers", "hume", "evi", "audonnx")

TARGETS: dict[str, Target] = {
    "audio": Target(_SOUND, "audio", words=_AUDIO),
    "media": Target(_SOUND, "audio", words=_MEDIA, needs=("av",)),
    "media_pipe": Target(_SOUND, "pipe", words=_MEDIA, needs=("av",)),
    "audio_excerpt": Target(_SOUND, "excerpt", words=_AUDIO),
    "audio_channels": Target(_SOUND, "channels", words=_AUDIO),
    "manifest": Target(_TEXTS, "manifest", words=(*_ROW, *_JSON)),
    "batch_manifest": Target(
        _TEXTS, "batch_manifest", words=(*_ROW, '"duration"', '"offset"', "s3://", *_JSON)
    ),
    "table": Target(
        _TEXTS,
        "table",
        words=(
            *("file", ";", "|", "\t", "sep=;", "0 days 00:00:01.5", "1,5", "Unnamed: 0"),
            *_JSON,
        ),
    ),
    "config": Target(_TEXTS, "config", words=(_CUT, *_YAML, *_DIGITS)),
    "textgrid": Target(_TEXTS, "textgrid", words=(*_PRAAT, *_DIGITS)),
    "rttm": Target(_TEXTS, "rttm", words=("SPEAKER", "<NA>", "\n", *_DIGITS)),
    "turn_table": Target(_TEXTS, "turn_table", words=("start", "end", "file", '"', *_DIGITS)),
    "subtitles": Target(_TEXTS, "subtitles", words=_SUBTITLES),
    "transcript": Target(_TEXTS, "transcript", words=(*_TRANSCRIPT, *_JSON)),
    "csv_table": Target(_CORPORA, "csv_table", words=("file", "emotion", "start", '"', *_DIGITS)),
    "corpus_tables": Target(
        _CORPORA, "corpus_tables", words=(_CUT, "\t", "\n\n", *_YAML, *_DIGITS)
    ),
    "folder_names": Target(
        _CORPORA, "folder_names", words=("/", "\n", ".wav", "angry", "03-01-05-01-02-01-12", "wav/")
    ),
    "iemocap": Target(_CORPORA, "iemocap", words=(_CUT, "Total score", "Ses01F_", *_DIGITS)),
    "emodb": Target(_CORPORA, "emodb", words=("\n#\n", "_t", "!t", "tasp", " -1 ", *_DIGITS)),
    "published": Target(_CORPORA, "published", words=(_CUT, '{"wav": "', *_JSON)),
    "bundle": Target(_MODELS, "bundle", words=('"sha256"', '"labels"', *_JSON)),
    "network": Target(_MODELS, "network"),
    "seal": Target(_TRAIN, "seal", words=(_CUT, '"sha256"', *_JSON)),
    "lineage": Target(
        _TRAIN,
        "lineage",
        words=(_CUT, '"before"', '"corpora"', *_JSON),
        needs=("torch",),
    ),
    "websocket": Target(
        _SERVER,
        "websocket",
        words=(_CUT, "n:60000", "t:", "b:", "&", "%", *_JSON),
        needs=_SERVES,
    ),
    "form": Target(
        _SERVER,
        "form",
        words=(_CUT, "--cut", "\r\n\r\n", "name=", "filename*=", "charset=", "timeline", "top_k"),
        needs=_SERVES,
    ),
    "decoder_frame": Target(_SOUND, "decoder_frame", words=_JSON),
    "request": Target(
        _REQUESTS,
        "request",
        words=(_CUT, *_PATHS, "model=tiny", "profile_json=", "top_k=", "channels=", "&", "%00"),
        needs=_SERVES,
    ),
    "request_profile": Target(_REQUESTS, "request_profile", max_len=48, needs=_SERVES),
    "mcp_lines": Target(_REQUESTS, "mcp_lines", words=(*_MCP, *_JSON), needs=("mcp", *_SERVES)),
    "mcp_call": Target(
        _REQUESTS,
        "mcp_call",
        max_len=80,
        words=(_CUT, "emotion_timeline", "compare_recordings", "list_models"),
        needs=("mcp", *_SERVES),
    ),
    "recording_path": Target(_PROGRAMS, "recording_path", words=("../", "/", "\0", "link.wav")),
    "profile": Target(_FIELDS, "profile", words=('"mean"', '"format"', *_JSON)),
    "profile_fields": Target(_FIELDS, "profile_fields", max_len=48),
    "archive": Target(_ARRAYS, "archive", words=("PK\x03\x04", "\x93NUMPY", "'descr': '|O'")),
    "archive_arrays": Target(_ARRAYS, "archive_arrays", max_len=41),
    "job_folder": Target(_FIELDS, "job_folder", words=(_CUT, '"asked"', '"path"', *_JSON)),
    "job_fields": Target(_FIELDS, "job_fields", max_len=48),
    "parquet": Target(_ARRAYS, "parquet", words=("PAR1",), needs=("pyarrow",)),
    "parquet_columns": Target(_ARRAYS, "parquet_columns", max_len=16, needs=("pyarrow",)),
    "pcm": Target(_ARRAYS, "pcm", max_len=20_000, words=("RIFF", "OggS", "\xff\xf1", "fLaC")),
    "packets": Target(_ARRAYS, "packets"),
    "turn_objects": Target(_FIELDS, "turn_objects", max_len=60),
    "transcript_fields": Target(_FIELDS, "transcript_fields", max_len=60),
    "other_results": Target(_FIELDS, "other_results", max_len=60, words=(_CUT, *_TOOLS)),
    "run_folder": Target(_PROGRAMS, "run_folder", max_len=20_000, words=(_CUT, *_JSON)),
    "run_fields": Target(_PROGRAMS, "run_fields", max_len=48),
    "site_folder": Target(
        _PROGRAMS, "site_folder", words=(_CUT, "const SITE = {", "\n};", '"files"', *_JSON)
    ),
    "aligned_folder": Target(
        _PROGRAMS, "aligned_folder", words=('"settings"', '"phonemes"', '"symbol"', "\n", *_JSON)
    ),
    "digest_cache": Target(_PROGRAMS, "digest_cache", max_len=9000, words=(_CUT, "r:")),
    "machine_files": Target(_PROGRAMS, "machine_files", words=(_CUT, "model name\t: ", "flags")),
}


def spelled(word: str) -> bytes:
    """A word's bytes: letters below 256 stand for bytes, for there are words of sound too."""
    try:
        return word.encode("latin-1")
    except UnicodeEncodeError:
        return word.encode()


def target_of(name: str) -> Target:
    """A target by its name, or any function by ``module:function``."""
    if ":" in name:
        module, _, function = name.partition(":")
        return Target(module, function)
    return TARGETS[name]
