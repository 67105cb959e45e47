"""Write the seeds: python -m tests.fuzz.make_corpus [FOLDER]. The same bytes every time.

All of it is made here or by the makers of the tests' own miniatures; nothing is of a corpus. Where
libsndfile is of another version, its compressed clips may differ: no test wants them equal.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.annotations.transcript_files import SRT, VTT, WHISPER, WHISPER_CPP, WHISPERX
from tests.audio.media_files import amr, encode_media
from tests.fuzz.judging import CUT
from tests.fuzz.structured_seeds import structured_seeds
from tests.fuzz.targets import TARGETS
from tests.tiny import (
    LABLAUT_HEADER,
    LABLAUT_ROWS,
    make_audformat,
    make_lhotse,
    make_textgrid,
)
from tests.tiny_bundle import BUNDLE, RATE, make_clip
from tests.tiny_iemocap import make_iemocap

CORPUS = Path(__file__).resolve().parent / "corpus"
MOST_BYTES = 4096
Seeds = dict[str, bytes]

#: Name -> format, subtype, rate, channels and samples.
_CLIPS: dict[str, tuple[str, str, int, int, int]] = {
    "pcm16.wav": ("WAV", "PCM_16", 16_000, 1, 800),
    "stereo8.wav": ("WAV", "PCM_U8", 8_000, 2, 600),
    "float.wav": ("WAV", "FLOAT", 16_000, 1, 500),
    "double.wav": ("WAV", "DOUBLE", 16_000, 1, 450),
    "ulaw.wav": ("WAV", "ULAW", 8_000, 1, 1200),
    "adpcm.wav": ("WAV", "IMA_ADPCM", 16_000, 1, 1600),
    "msadpcm.wav": ("WAV", "MS_ADPCM", 16_000, 1, 1600),
    "gsm.wav": ("WAV", "GSM610", 8_000, 1, 1600),
    "wavex.wav": ("WAVEX", "PCM_24", 16_000, 2, 500),
    "big.rf64": ("RF64", "PCM_16", 16_000, 1, 700),
    "many.wav": ("WAV", "PCM_16", 16_000, 8, 200),
    "clip.flac": ("FLAC", "PCM_16", 16_000, 1, 1600),
    "wide.flac": ("FLAC", "PCM_24", 44_100, 2, 1500),
    "clip.mp3": ("MP3", "MPEG_LAYER_III", 16_000, 1, 3000),
    "vorbis.ogg": ("OGG", "VORBIS", 16_000, 1, 900),
    "opus.ogg": ("OGG", "OPUS", 16_000, 1, 3000),
    "clip.aiff": ("AIFF", "PCM_16", 16_000, 1, 800),
    "ulaw.aifc": ("AIFF", "ULAW", 8_000, 1, 1200),
    "clip.au": ("AU", "PCM_16", 16_000, 1, 500),
    "clip.caf": ("CAF", "PCM_16", 16_000, 1, 500),
    "clip.w64": ("W64", "PCM_16", 16_000, 1, 500),
    "clip.sph": ("NIST", "PCM_16", 16_000, 1, 500),
}
_PIPED = ("aac.mp4", "opus.webm", "aac.aac", "flac.oga")
#: What FFmpeg decodes: name -> container, encoder, rate and options.
_MEDIA: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "aac.m4a": ("ipod", "aac", 16_000, {}),
    "aac.mp4": ("mp4", "aac", 16_000, {"movflags": "frag_keyframe+empty_moov"}),
    "alac.m4a": ("ipod", "alac", 8_000, {}),
    "opus.webm": ("webm", "libopus", 48_000, {"live": "1"}),
    "aac.mka": ("matroska", "aac", 16_000, {}),
    "aac.aac": ("adts", "aac", 16_000, {}),
    "clip.wma": ("asf", "wmav2", 16_000, {}),
    "g722.wav": ("wav", "g722", 16_000, {}),
    "flac.oga": ("ogg", "flac", 16_000, {}),
}

_HEADER = {"manifest": 1, "corpus": "mine", "root": "audio", "phonemo": "0.1.0"}
_ROWS: tuple[dict[str, Any], ...] = (
    {"id": "a", "file": "a.wav", "speaker": "x", "gender": "f", "emotion": "anger"},
    {"id": "b", "file": "b/c.wav", "start": 0.5, "end": 1.25, "language": "de", "transcript": ""},
    {
        **{"id": "c", "file": "ü.flac", "session": "1", "dialog": "d", "style": "scripted"},
        "phonemes": {
            **{"alphabet": "ipa", "source": "lablaut", "symbols": ["d", "a"]},
            "times": [[0.0, 0.1], [0.1, 0.25]],
        },
    },
)

_RTTM = """;; who speaks when
SPKR-INFO clip 1 <NA> <NA> <NA> unknown Ann <NA> <NA>
SPEAKER clip 1 2.5 0.5 <NA> <NA> Bob <NA> <NA>
SPEAKER clip 1 0.25 1 <NA> <NA> Ann 0.9 <NA>
SPEAKER other 1 1.5 0.5 <NA> <NA> <NA> <NA>
"""

_LONG_GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "An ""n"""
        xmin = 0
        xmax = 4
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.25
            text = "he said ""no""
and left"
        intervals [2]:
            xmin = 1.25
            xmax = 4
            text = ""
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 4
        points: size = 1
        points [1]:
            number = 1
            mark = "x"
'''
_SHORT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
4
<exists>
2
"IntervalTier"
"speaker"
0
4
2
0
1.5
"Ann"
1.5
4
"Bob"
"IntervalTier"
"emotion"
0
4
1
0
4
"anger 0.75"
"""

_RUN = """name: mine
manifest: work/mine.jsonl
output: work/run
labels:
  names: [anger, neutral]
  merge: {excited: anger}
protocol: {name: speaker, folds: 3, seed: 2}
model:
  backbone: log-mel
  fusion: gate
  auxiliary: {task: phonemes, alpha: 0.1}
train: {strategy: full, epochs: 2, augment: {gain_db: 6.0}}
extra:
  - {manifest: work/other.jsonl, repeat: 2}
seeds: [1, 2]
"""
_SERVE = """host: 127.0.0.1
port: 8000
models: [work/bundle]
limits: {body_bytes: 1000000, queue: 4}
access:
  keys: []
  cors_origins: ["https://example.org"]
"""
_ABLATION = """name: arms
base: work/run.yaml
output: work/arms
every: {train: {epochs: 2}}
arms:
  one: {}
  two: {model: {auxiliary: null}}
tune: {key: train.rate_heads, values: [0.001, 0.01]}
tables:
  - {title: What is it good for?, baseline: one, arms: [two]}
"""
_PRETRAIN = """name: student
teacher: work/whisper
manifests: [work/speech.jsonl]
output: work/student
front_end: {steps: 10, batch_size: 2, rate_front: 0.001}
whole: {steps: 10, batch_size: 2, rate_front: 0.001, hearing: {longest_seconds: 4.0}}
"""

_TABLE = '''file,emotion,speaker,gender,language,transcript,style,start,end
a.wav,anger,x,f,de,"Nein, danke.",scripted,0,1.5
b.wav,neutral,y,male,en,,improvised,,
a.wav,,x,F,de,"Er sagte ""nein""",,1.5,2
'''
_NEMO = (
    "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
    "a_fear_1.wav\tfear\tTo jest dom.\tto jest dom\t  A0\tmale\t23\n"
    'c.wav\tsurprised\t"Dom", mówi.\tdom mówi\tB1\tfemale\t27\n'
)
_CREMAD = "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,none,none\n1002,21,Female,none,none\n"

_FORM = (
    b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%s\r\n'
    b'--cut\r\nContent-Disposition: form-data; name="response_format"\r\n\r\n%s\r\n'
    b'--cut\r\nContent-Disposition: form-data; name="labels"\r\n\r\nanger,neutral\r\n--cut--\r\n'
)
_MULTIPART = b"content-type: multipart/form-data; boundary=cut"


def seeds() -> dict[str, Seeds]:
    """Target -> name -> bytes."""
    sounds = dict(_sounds())
    return {
        "audio": sounds,
        "media": _media(),
        "media_pipe": {n: data for n, data in _media().items() if n in _PIPED},
        "audio_excerpt": {f"{n}.excerpt": b"\x00\x01" + data for n, data in sounds.items()},
        "audio_channels": {f"{n}.channels": b"\x00" + data for n, data in sounds.items()},
        "manifest": _manifests(),
        "batch_manifest": _batches(),
        "table": _row_tables(),
        "config": _configs(),
        "textgrid": _grids(),
        "rttm": {"two.rttm": _RTTM.encode()},
        "turn_table": _turn_tables(),
        "subtitles": {"two.srt": b"s" + SRT.encode(), "notes.vtt": b"v" + VTT.encode()},
        "transcript": _transcripts(),
        "csv_table": {"commas.csv": _TABLE.encode(), "tabs.tsv": _tabbed(_TABLE)},
        "corpus_tables": _tables(),
        "iemocap": _iemocap(),
        "emodb": _labels(),
        "published": {"folds": _joined(_wavs("a", "b"), _wavs("c"))},
        "bundle": {"card.json": (BUNDLE / "bundle.json").read_bytes()},
        "network": {
            "head": b"\x01\x00\x00\x50\x09",
            "model": b"\x00\x01\x00\x00\xff\x00\x00\x10\x08",
        },
        "seal": {"seal": _joined(_json({"sha256": {"state.json": "0" * 64}}), b"{}")},
        "lineage": {"past": _joined(_heard(), _provenance())},
        "websocket": _streams(),
        "form": _forms(sounds["pcm16.wav"]),
        "decoder_frame": _frames(),
        **structured_seeds(sounds["pcm16.wav"], CORPUS),
    }


def main(folder: Path = CORPUS) -> None:
    """Write them all."""
    for target, files in seeds().items():
        place = folder / target
        place.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (place / name).write_bytes(data)


def _sounds() -> Iterator[tuple[str, bytes]]:
    for name, (kind, subtype, rate, channels, count) in _CLIPS.items():
        wave = make_clip(count, 440.0) * min(1.0, RATE / rate)
        samples = np.repeat(wave[:, None], channels, axis=1)
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=kind, subtype=subtype)
        yield name, file.getvalue()[:MOST_BYTES]
    yield "list.m3u8", b"#EXTM3U\nhttp://127.0.0.1/a.wav\n"
    yield "empty", b""


def _media() -> Seeds:
    """Encoded by FFmpeg; without it, the files that are there."""
    if TARGETS["media"].missing:
        return {path.name: path.read_bytes() for path in (CORPUS / "media").iterdir()}
    made = {}
    for name, (container, codec, rate, options) in _MEDIA.items():
        samples = make_clip(rate // 8, 440.0 * RATE / rate)
        made[name] = encode_media(samples, container, codec, rate, options)[:MOST_BYTES]
    return made | {"narrow.amr": amr(seconds=0.1), "wide.amr": amr(wide=True, seconds=0.1)}


def _manifests() -> Seeds:
    rows = [_json(one) for one in (_HEADER, *_ROWS)]
    return {"rows.jsonl": b"\n".join(rows) + b"\n", "header.jsonl": rows[0]}


def _batches() -> Seeds:
    rows = b"\n".join(_json({**one, "duration": 0.5}) for one in _ROWS)
    return {
        "prepared.jsonl": b"j" + _manifests()["rows.jsonl"],
        "nemo.jsonl": b"j" + rows.replace(b'"file"', b'"audio_filepath"'),
        "names.jsonl": b'j"a.wav"\n"s3://bucket/b.wav"\n',
        "table.csv": b'cid,path,offset,duration\n1,a.wav,0,1.5\n2,"b,c.wav",,\n',
        "table.tsv": b"tfile\tstart\tend\na.wav\t0.5\t2\n",
        "list.txt": b"la.wav\nfile:///b.wav\n",
    }


def _row_tables() -> Seeds:
    german = "sep=;\r\nDatei;Pfad;Start;Ende\r\n1;wav\\ä.wav;0,5;1,5\r\n"
    records = [{"path": "a.wav", "offset": 0, "n": [1]}, {"audio_filepath": "b.wav"}]
    return {
        **_batches(),
        "pandas.csv": b'c,file,start,end,x\n0,a.wav,0 days 00:00:01.5,NaT,"a\nb"\n',
        "excel.csv": b"c" + german.encode("cp1252"),
        "wide.csv": b"c" + german.encode("utf-16"),
        "pipes.csv": b"cfile|onset|offset|start_ms\ra.wav|1:02|P0DT0H1M2.5S|500\r",
        "array.json": b"a" + json.dumps(records, indent=1).encode(),
        "lines.json": b"a" + b"\n".join(_json(record) for record in records),
    }


def _configs() -> Seeds:
    return {
        "run.yaml": _joined(b"run", _RUN.encode(), b"train.epochs=3\nmodel.auxiliary=null"),
        "serve.yaml": _joined(b"serve", _SERVE.encode(), b"limits.queue=2"),
        "ablation.yaml": _joined(b"ablation", _ABLATION.encode(), b""),
        "pretrain.yaml": _joined(b"pretrain", _PRETRAIN.encode(), b"seed=2"),
        "tags.yaml": _joined(b"serve", b'host: !!str "a"\nport: !!int "1"\nlimits: &a {}\n', b""),
    }


def _grids() -> Seeds:
    return {
        "long.TextGrid": _LONG_GRID.encode(),
        "short.TextGrid": _SHORT_GRID.encode(),
        "wide.TextGrid": _SHORT_GRID.encode("utf-16"),
        "marked.TextGrid": _SHORT_GRID.encode("utf-8-sig"),
    }


def _turn_tables() -> Seeds:
    table = "file,start,end,speaker\nclip.wav,0,1.5,Ann\nclip.wav,1.5,2,\n"
    return {"turns.csv": b"c" + table.encode(), "turns.tsv": b"t" + _tabbed(table)}


def _transcripts() -> Seeds:
    kinds = {"whisper": WHISPER, "whisperx": WHISPERX, "cpp": WHISPER_CPP}
    found = {f"{name}.json": b"j" + _json(data) for name, data in kinds.items()}
    chunks = {"chunks": [{"timestamp": [0, 1.5], "text": " a"}], "text": " a"}
    plain = [[0, 1.5, "Ann"], {"offset": 1, "duration": 1}, "1.50 2.00 speaker_0"]
    found |= {"chunks.json": b"j" + _json(chunks), "plain.json": b"j" + _json(plain)}
    row = {"file": "clip.wav", "segments": WHISPER["segments"]}
    return found | {"rows.jsonl": b"l" + _json(row) + b"\n" + _json({**row, "file": "b.wav"})}


def _tables() -> Seeds:
    kaldi = [
        b"000010011 WE CALL IT\n000010012 NO\n",
        b"000010011 0001\n000010012 0001\n",
        b"0001 f\n",
        b"000010011 WAVE/SPEAKER0001/000010011.WAV\n",
        b"000010011.0\tW_B IY0_E\n000010011.1\tK_B AO0_I L_E\n",
    ]
    metadata = b"file,speaker,gender,transcript\n000010011.WAV,0001,f,WE CALL IT\n"
    return {
        "nemo": _joined(b"nemo", _NEMO.encode()),
        "cremad": _joined(b"cremad", _CREMAD.encode()),
        "kaldi": _joined(b"kaldi", *kaldi),
        "msp": _joined(b"msp", *_MSP),
        "folders": _joined(b"folders", b"file_name,emotion,speaker\nangry/a.wav,anger,1\n", b""),
        "reduced": _joined(b"reduced", metadata, b"file,phones\n000010011.WAV,W IY0\n"),
        **_exchanged(),
    }


_MSP = (
    b"FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    b"MSP-PODCAST_0001_0008.wav,A,5.0,2.5,4,1,Female,Train\n",
    b"FileName,EmoDetail\nMSP-PODCAST_0001_0008.wav,W1; Happy; Happy; A:5.0; V:6.0; D:4.0;\n",
    b"Train; MSP-PODCAST_0001_0008.wav\n",
    b"so it is\n",
)


def _exchanged() -> Seeds:
    """Other programs' formats, from the miniatures of the readers' tests."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cuts = (make_lhotse(root / "l") / "cuts.jsonl").read_bytes()
        database = make_audformat(root / "a")
        grid = (make_textgrid(root / "t") / "a.TextGrid").read_bytes()
        header, table = ((database / one).read_bytes() for one in ("db.yaml", "db.moods.csv"))
    return {
        "lhotse": _joined(b"lhotse", cuts),
        "audformat": _joined(b"audformat", header, table),
        "praat": _joined(b"praat", grid),
    }


def _iemocap() -> Seeds:
    with tempfile.TemporaryDirectory() as folder:
        session = make_iemocap(Path(folder)) / "Session1"
        evaluation = (session / "dialog/EmoEvaluation/Ses01F_impro01.txt").read_bytes()
        words = (session / "dialog/transcriptions/Ses01F_impro01.txt").read_bytes()
        phones = session / "sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000"
        aligned = phones.with_suffix(".phseg").read_bytes()
        counted = phones.with_suffix(".wdseg").read_bytes()
    return {
        "evaluation.txt": _joined(b"evaluation", evaluation),
        "transcript.txt": _joined(b"transcript", words),
        "alignment.phseg": _joined(b"alignment", aligned),
        "words.wdseg": _joined(b"alignment", counted),
        "release": _joined(b"release", evaluation[:600], words[:300], aligned),
    }


def _labels() -> Seeds:
    return {
        "das-ist.lablaut": (LABLAUT_HEADER + LABLAUT_ROWS).encode(),
        "empty.lablaut": LABLAUT_HEADER.encode(),
    }


def _streams() -> Seeds:
    finish = b't:{"type": "finish"}'
    origin = b"origin: http://localhost:8000\nsec-websocket-protocol: phonemo, phonemo-key.abc"
    return {
        "short": _joined(b"rate=16000", b"", b"n:8000", finish),
        "long": _joined(b"phonemes=true&model=quick", origin, b"n:60000", b"n:60001", finish),
        "odd": _joined(b"rate=8000", b"", b"b:abc", b"b:\x01", b"n:4000", b"d"),
        "silent": _joined(b"", b"", b"n:8000", b"s"),
        "refused": _joined(b"rate=1&x=%ff", b"origin: http://example.org", b"t:[]"),
    }


def _forms(sound: bytes) -> Seeds:
    key = b"\norigin: http://localhost:8000\nauthorization: Bearer abc"
    named = b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%e2.wav\r\n"
    wide = b"; charset=utf-16"
    return {
        "json": _joined(b"\xff" + _MULTIPART, _FORM % (sound, b"json")),
        "pieces": _joined(b"\x00" + _MULTIPART + key, _FORM % (b"RIFF", b"verbose_json")),
        "textgrid": _joined(b"\x20" + _MULTIPART, _FORM % (sound, b"textgrid")),
        "named": _joined(b"\x10" + _MULTIPART + wide, named + b"\r\nabc\r\n--cut--\r\n"),
        "urlencoded": _joined(b"\x10content-type: application/x-www-form-urlencoded", b"file=a"),
    }


def _frames() -> Seeds:
    head = b'{"name": "a.wav"}'
    return {
        "whole": struct.pack("<QQ", len(head), 4) + head + b"data",
        "cut": struct.pack("<QQ", len(head), 9) + head + b"data",
    }


def _heard() -> bytes:
    return _json({"utterances": {"libri": 10}, "before": {"utterances": {"mine": 2}}})


def _provenance() -> bytes:
    taught = {"speakers": ["x"], "utterances": ["0123456789ab"]}
    return _json({"heard": ["mine"], "corpora": {"mine": taught}})


def _wavs(*stems: str) -> bytes:
    return b"".join(_json({"wav": f"wav/{one}.wav"}) + b"\n" for one in stems)


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def _tabbed(table: str) -> bytes:
    return table.replace(",", "\t").encode()


def _joined(*parts: bytes) -> bytes:
    return CUT.join(parts)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
