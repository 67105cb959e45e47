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
_SERVES = ("fastapi", "python-multipart", "prometheus-client")

_CUT = "\n=8<=\n"
_DIGITS = ("9" * 310, "9" * 4400, "1e308", "-1", "NaN", "Infinity", "\u0663")
_JSON = ('{"', '":', "[" * 1200, "null", "true", '"\\ud800"', '"\\n"', *_DIGITS)
_AUDIO = (
    *("RIFF", "RIFX", "RF64", "WAVE", "fmt ", "data", "ds64", "LIST", "fact"),
    *("fLaC", "OggS", "OpusHead", "\x01vorbis", "FORM", "AIFF", "AIFC", "COMM", "SSND", "ID3"),
    *("\xff\xff\xff\xff", "\x00\x00\x00\x80", "Xing", "\xff\xfb\x90"),
)
_ROW = ('"id"', '"file"', '"start"', '"end"', '"phonemes"', '"alphabet"', '"symbols"', '"times"')
_YAML = (
    *("!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "<<: "),
    *("&a ", "*a", "? ", "- ", ": ", "{", "}", "[", "]", "2001-01-01 00:00:00", "0x", "1:2:3"),
    *("limits", "access", "keys", "models", "train", "protocol", "labels", "arms", "every"),
)
_PRAAT = ('"IntervalTier"', '"TextTier"', '"ooTextFile"', '"TextGrid"', '""', "!", '"speaker"')

TARGETS: dict[str, Target] = {
    "audio": Target(_SOUND, "audio", words=_AUDIO),
    "audio_excerpt": Target(_SOUND, "excerpt", words=_AUDIO),
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
    "csv_table": Target(_CORPORA, "csv_table", words=("file", "emotion", "start", '"', *_DIGITS)),
    "corpus_tables": Target(_CORPORA, "corpus_tables", words=(_CUT, "\t", "\n\n", *_DIGITS)),
    "iemocap": Target(_CORPORA, "iemocap", words=(_CUT, "Total score", "Ses01F_", *_DIGITS)),
    "emodb": Target(_CORPORA, "emodb", words=("\n#\n", "_t", "!t", "tasp", " -1 ", *_DIGITS)),
    "published": Target(_CORPORA, "published", words=(_CUT, '{"wav": "', *_JSON)),
    "bundle": Target(_MODELS, "bundle", words=('"sha256"', '"labels"', *_JSON)),
    "network": Target(_MODELS, "network"),
    "seal": Target(_TRAIN, "seal", words=(_CUT, '"sha256"', *_JSON), needs=("safetensors",)),
    "lineage": Target(
        _TRAIN,
        "lineage",
        words=(_CUT, '"before"', '"corpora"', *_JSON),
        needs=("safetensors",),
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
