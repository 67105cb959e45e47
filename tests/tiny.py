"""Fake releases of every corpus: a few utterances in the release's folder layout.

Each ``make_<corpus>(root)`` writes one and returns the folder for the reader. Like real downloads,
the fakes contain macOS ``._`` files and unknown names. Each sound is different noise, so that no
two files are the same recording.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
SECONDS = 0.1
SHADOW = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \xa4"

LABLAUT_HEADER = """signal tinyAO
type 0
comment created using xlabel Wed Apr 26 12:59:18 2000
font -misc-*-bold-*-*-*-15-*-*-*-*-*-*-*
separator ;
nfields 1
#
"""

#: "Das" and a pause, then "ist": closure after silence, burst, aspiration, a change of voicing.
#: Times are starts of rows; the last row is the pause that ends the last phone.
LABLAUT_ROWS = """    0.005000   -1 _d\t-sth
    0.010000   -1 !d\t+asp
    0.015000   -1 dasp
    0.020000   -1 a\t\t2
    0.030000  125 s\t+sth
    0.040000   -1 \t-sth
    0.045000   -1 .
    0.050000   -1 I +hoe    2
    0.060000   -1 s
    0.070000   -1 t
    0.080000   -1 !t
    0.085000   -1 .
"""


def write_sound(path: Path, seconds: float = SECONDS, channels: int = 1) -> None:
    """Noise seeded by the path, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(zlib.crc32(path.as_posix().encode()))
    samples = random.uniform(-0.5, 0.5, (round(seconds * RATE), channels))
    soundfile.write(path, samples, RATE, format=path.suffix[1:].upper())


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, creating its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_shadow(path: Path) -> None:
    """Write the ``._`` file that macOS creates beside ``path``."""
    path.with_name("._" + path.name).write_bytes(SHADOW)


def make_emodb(root: Path) -> Path:
    """Four utterances; labels for the first, empty for the second, labels without audio."""
    for name in ("03a01Fa.wav", "03a02Nc.flac", "08b10Wb.ogg", "16a05La.WAV"):
        write_sound(root / "wav" / name)
    write_shadow(root / "wav" / "03a01Fa.wav")
    write_sound(root / "wav" / "test.wav")
    write_text(root / "wav" / "readme.txt", "not audio")
    write_text(root / "lablaut" / "03a01Faxx.lablaut", LABLAUT_HEADER + LABLAUT_ROWS)
    write_text(root / "lablaut" / "03a02Ncxx.lablaut", LABLAUT_HEADER)
    write_text(root / "lablaut" / "12a02Taxx.lablaut", LABLAUT_HEADER + LABLAUT_ROWS)
    write_shadow(root / "lablaut" / "03a01Faxx.lablaut")
    return root


def make_ravdess(root: Path) -> Path:
    """Three utterances of two actors; a song, a video's sound and a wrong folder beside them."""
    write_sound(root / "Actor_01" / "03-01-01-01-01-01-01.wav")
    write_sound(root / "Actor_01" / "03-01-05-02-02-01-01.flac", channels=2)
    write_sound(root / "Actor_02" / "03-01-08-01-02-02-02.ogg")
    write_sound(root / "Actor_02" / "03-02-03-01-01-01-02.wav")
    write_sound(root / "Actor_02" / "01-01-03-01-01-01-02.wav")
    write_sound(root / "Actor_02" / "03-01-03-01-01-01-07.wav")
    write_sound(root / "Actor_02" / "take two.wav")
    write_shadow(root / "Actor_01" / "03-01-01-01-01-01-01.wav")
    return root


def make_nemo(root: Path) -> Path:
    """Three utterances, one row without audio and one audio file without a row."""
    for name in ("WR0_surprised_64.wav", "EB0_neutral_13.ogg", "SK1_fear_2.flac", "stray.wav"):
        write_sound(root / "samples" / name)
    write_shadow(root / "samples" / "stray.wav")
    write_text(
        root / "data.tsv",
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
        "WR0_surprised_64.wav\tsurprised\tUcho wykrywa dźwięki.\tucho wykrywa dźwięki\t"
        "        WR0\tmale\t23\n"
        'EB0_neutral_13.wav\tneutral\t"Dom", rzekła.\tdom rzekła\t        EB0\tfemale\t27\n'
        "SK1_fear_2.wav\tfear\tTo jest dom.\tto jest dom\tSK1 \tmale\t28\n"
        "SK1_anger_9.wav\tanger\tTo jest dom.\tto jest dom\tSK1\tmale\t28\n",
    )
    return root


def make_speechocean762(root: Path) -> Path:
    """The release's Kaldi tables: two train utterances, one test utterance, an unlisted sound."""
    rows = {
        "train": [("000010011", "0001", "WE CALL IT"), ("000010035", "0001", "ZERO")],
        "test": [("000030012", "0003", "MARK IS")],
    }
    for part, utterances in rows.items():
        table = {"text": "", "utt2spk": "", "wav.scp": "", "spk2gender": ""}
        for name, speaker, text in utterances:
            file = f"WAVE/SPEAKER{speaker}/{name}.WAV"
            write_sound(root / file)
            table["text"] += f"{name}\t{text}\n"
            table["utt2spk"] += f"{name} {speaker}\n"
            table["wav.scp"] += f"{name}\t{file}\n"
        table["spk2gender"] = "0001\tm\n" if part == "train" else "0003\tf\n"
        for name, text in table.items():
            write_text(root / part / name, text)
    write_sound(root / "WAVE" / "SPEAKER0003" / "000039999.WAV")
    write_shadow(root / "WAVE" / "SPEAKER0003" / "000030012.WAV")
    write_text(
        root / "resource" / "text-phone",
        "000010011.0\tW_B IY0_E\n000010011.1\tK_B AO0_I L_E\n000010011.2\tIH0_B T_E\n"
        "000010035.0\tZ_B IH_I R_I OW1_E\n"
        "000030012.0\tM_B AA0_I R_I K_E\n000030012.1\tAH0_S\n",
    )
    return root


def make_reduced_speechocean762(root: Path) -> Path:
    """The same corpus as two csv tables."""
    write_sound(root / "WAVE" / "SPEAKER0001" / "000010011.ogg")
    write_sound(root / "WAVE" / "SPEAKER0003" / "000030012.ogg")
    write_text(
        root / "metadata.csv",
        "file,speaker,gender,emotion,transcript,language,duration_s,sample_rate\n"
        "WAVE/SPEAKER0001/000010011.ogg,0001,m,,WE CALL IT,en,0.1,16000\n"
        "WAVE/SPEAKER0003/000030012.ogg,0003,f,,MARK IS,en,0.1,16000\n",
    )
    write_text(
        root / "phones.csv",
        "file,split,phones\nWAVE/SPEAKER0001/000010011.ogg,train,W IY0 K AO0 L IH0 T\n",
    )
    return root


def make_cremad(root: Path) -> Path:
    """Three utterances of two actors, and a clip with an unknown name."""
    for name in ("1001_DFA_ANG_XX.wav", "1001_IEO_HAP_HI.flac", "1002_WSI_NEU_XX.ogg", "x.wav"):
        write_sound(root / "AudioWAV" / name)
    write_shadow(root / "AudioWAV" / "1001_DFA_ANG_XX.wav")
    write_text(
        root / "VideoDemographics.csv",
        '"ActorID","Age","Sex","Race","Ethnicity"\n'
        '1001,51,"Male","Caucasian","Not Hispanic"\n'
        '1002,21,"Female","Caucasian","Not Hispanic"\n',
    )
    return root


def make_msp_podcast(root: Path) -> Path:
    """Six segments of release 1.12's layout: an unknown speaker, no agreement, an unlabeled one."""
    parts = ("Train", "Train", "Train", "Development", "Test1", "Test3")
    rows = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    for number, (part, code) in enumerate(zip(parts, "AHXCN ", strict=True), start=1):
        name = f"MSP-PODCAST_0001_{number:04d}"
        write_sound(root / "Audios" / f"{name}.wav")
        write_text(root / "Transcripts" / f"{name}.txt", f"So this is  {number}.\n")
        values = "5.4,2.2,4" if code.strip() else ",,"
        speaker = "Unknown" if number == 2 else str(number)
        rows += f"{name}.wav,{code.strip()},{values},{speaker},Female,{part}\n"
    write_text(root / "Labels" / "labels_consensus.csv", rows)
    write_text(
        root / "Labels" / "labels_detailed.csv",
        "FileName,EmoDetail\n"
        "MSP-PODCAST_0001_0001.wav,WORKER00000001; Angry; Angry; A:6.0; V:2.0; D:5.0;\n"
        'MSP-PODCAST_0001_0001.wav,"WORKER00000002; Angry; Angry,Sad; A:5.0; V:2.0; D:4.0;"\n'
        "MSP-PODCAST_0001_0001.wav,WORKER00000003; Other-Bored; ; A:5.0; V:2.0; D:4.0;\n",
    )
    lines = (f"{part}; MSP-PODCAST_0001_{n:04d}.wav\n" for n, part in enumerate(parts, start=1))
    write_text(root / "Partitions.txt", "".join(lines))
    write_sound(root / "Audios" / "MSP-PODCAST_0002_0001.wav")
    write_shadow(root / "Audios" / "MSP-PODCAST_0001_0001.wav")
    return root


def make_rakshak(root: Path) -> Path:
    """Six clips from three places: of a known user, an unknown user, and backgrounds."""
    ann, bob, unknown = (
        "a" * 56,
        "b" * 56,
        "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
    )
    for name in (
        f"webservice/bacho-safe-angry-1562907046662-{ann}.wav",
        f"webservice/help-safe-Calm-1562907046700-{ann}.flac",
        f"webservice/unknown-safe-fearful-1562907046701-{bob}.wav",
        f"webservice/stop-scream-None-1562907046702-{unknown}.wav",
        f"webservice/background-safe-calm-1562907046703-{bob}.wav",
        f"Near Lake/background-glass break-None-20190701193438-{unknown}.ogg",
        f"Near Lake/sing-safe-happy-1562907046704-{ann}.wav",
        "Near Lake/take two.wav",
    ):
        write_sound(root / name)
    write_shadow(root / f"webservice/bacho-safe-angry-1562907046662-{ann}.wav")
    write_text(root / "webservice" / "readme.txt", "not audio")
    write_text(root / "metadata.csv", "file\n")
    return root


def make_emotiontts(root: Path) -> Path:
    """Five utterances of two kinds of script; one has a transcript; four invalid names."""
    for name in ("ema00001.wav", "ema00101.flac", "ema00300.ogg", "ema00401.wav", "song.wav"):
        write_sound(root / "plain-to-emotional" / "ema" / "wav" / name)
    for name in ("neo00201.wav", "neo00400.wav", "nea00001.wav", "neo00000.wav"):
        write_sound(root / "emotional-to-emotional" / "neo" / "wav" / name)
    write_shadow(root / "plain-to-emotional" / "ema" / "wav" / "ema00001.wav")
    words = root / "plain-to-emotional" / "ema" / "transcript"
    write_text(words / "ema00001.txt", "\ufeff오월 십칠일 기준.\r\n")
    write_text(words / "ema00101.txt", " \n")
    write_text(root / "emotional-to-emotional" / "readme.txt", "no speaker")
    return root


def make_csv(root: Path) -> Path:
    """A custom table: two segments of one file, and a file with few known fields."""
    write_sound(root / "talk.wav", seconds=0.5)
    write_sound(root / "more" / "b.flac")
    write_text(
        root / "table.csv",
        "file,emotion,speaker,gender,language,transcript,start,end\n"
        'talk.wav,anger,ann,female,en,"Well, no.",0,0.25\n'
        "talk.wav,neutral,bob,M,en,Yes.,0.25,\n"
        "more\\b.flac,surprise,,,,,,\n",
    )
    return root


def make_audformat(root: Path) -> Path:
    """An audformat database in the format of its package, and a hostile cache."""
    for name in ("a.wav", "b.wav"):
        write_sound(root / "audio" / name, seconds=0.5)
    write_text(
        root / "db.yaml",
        "name: tiny\nlanguages: [deu]\nschemes:\n  emotion:\n    dtype: str\n"
        "    labels: [anger, happiness]\n  speaker:\n    dtype: str\n    labels:\n"
        "      s1: {gender: female}\n      s2: {gender: male}\n"
        "tables:\n  files:\n    type: filewise\n    columns:\n      speaker: {scheme_id: speaker}\n"
        "  moods:\n    type: segmented\n    columns:\n      emotion: {scheme_id: emotion}\n"
        "      speaker: {scheme_id: speaker}\n",
    )
    write_text(
        root / "db.moods.csv",
        "file,start,end,emotion,speaker\n"
        "audio/a.wav,0 days 00:00:00,0 days 00:00:00.250000,anger,s1\n"
        "audio/a.wav,0 days 00:00:00.250000,NaT,happiness,s1\n"
        "audio/b.wav,0 days 00:00:00,NaT,anger,s2\n",
    )
    (root / "db.moods.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    return root


def make_lhotse(root: Path) -> Path:
    """Three cuts in Lhotse's format: with two supervisions, with one, and with none."""
    write_sound(root / "talk.wav", seconds=0.5)
    supervisions = [_supervision(0, 0.25, "anger", "ann"), _supervision(0.25, 0.2, "calm", "bob")]
    cuts = [
        _cut("one", supervisions),
        _cut("two", [_supervision(0.0, 0.5, None, "ann")]),
        _cut("no", []),
    ]
    write_text(root / "cuts.jsonl", "".join(json.dumps(cut) + "\n" for cut in cuts))
    return root


def _cut(name: str, supervisions: list[dict[str, object]]) -> dict[str, object]:
    source = {"type": "file", "channels": [0], "source": "talk.wav"}
    recording = {"id": "talk", "sources": [source], "sampling_rate": RATE, "duration": 0.5}
    times = {"start": 0.0, "duration": 0.5, "channel": 0}
    fields = {"supervisions": supervisions, "recording": recording, "type": "MonoCut"}
    return {"id": name, **times, **fields}


def _supervision(
    start: float, seconds: float, emotion: str | None, speaker: str
) -> dict[str, object]:
    custom = {"emotion": emotion} if emotion else {}
    fields = {"id": f"{speaker}-{start}", "recording_id": "talk", "text": "Yes.", "gender": "F"}
    return {"start": start, "duration": seconds, "speaker": speaker, "custom": custom, **fields}


def make_textgrid(root: Path) -> Path:
    """Two recordings, one with a TextGrid of two utterances, the other with a short one."""
    write_sound(root / "a.wav", seconds=0.5)
    write_sound(root / "more" / "b.wav", seconds=0.5)
    write_text(
        root / "a.TextGrid",
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0 0.5 <exists> 3\n'
        '"IntervalTier" "emotion" 0 0.5 3\n0 0.2 "anger 0.75"\n0.2 0.3 ""\n0.3 0.5 "calm"\n'
        '"IntervalTier" "speaker" 0 0.5 2\n0 0.25 "ann"\n0.25 0.5 "bob"\n'
        '"IntervalTier" "phonemes" 0 0.5 4\n0 0.05 ""\n0.05 0.1 "d"\n0.1 0.2 "a"\n0.2 0.5 ""\n',
    )
    write_text(
        root / "more" / "b.TextGrid",
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0 0.5 <exists> 1\n'
        '"IntervalTier" "emotion" 0 0.5 1\n0 0.5 "neutral"\n',
    )
    return root


def make_iemocap(root: Path) -> Path:
    """The miniature of IEMOCAP, from tests/tiny_iemocap.py."""
    from tests.tiny_iemocap import make_iemocap

    return make_iemocap(root)


#: Corpus -> the function that writes its fake; the contract test needs one for every corpus.
FAKES: dict[str, Callable[[Path], Path]] = {
    "iemocap": make_iemocap,
    "emodb": make_emodb,
    "ravdess": make_ravdess,
    "nemo": make_nemo,
    "speechocean762": make_speechocean762,
    "cremad": make_cremad,
    "msp-podcast": make_msp_podcast,
    "rakshak": make_rakshak,
    "emotiontts": make_emotiontts,
    "csv": make_csv,
    "audformat": make_audformat,
    "lhotse": make_lhotse,
    "textgrid": make_textgrid,
}
