"""Manifests and tables of utterances come back as they were written."""

from __future__ import annotations

import csv
import json
from itertools import count

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from phonemo.batch.inputs import READERS
from phonemo.batch.plan import BatchItem
from phonemo.batch.rows import rows_of, writing_rows
from phonemo.corpora.manifest import (
    STYLES,
    Header,
    Manifest,
    Phonemes,
    Utterance,
    read_manifest,
    stream_manifest,
    write_manifest,
)
from phonemo.corpora.merge import by_corpus, merge
from phonemo.corpora.readers.formats import csv as csv_table
from phonemo.errors import ManifestError
from tests.answers import without_nulls
from tests.properties.strategies import few, file_names, predictions, some, texts

names = texts.filter(bool)
maybe = st.none() | texts
times = st.floats(0, 1e6, allow_nan=False, allow_subnormal=False)


@st.composite
def phonemes(draw: st.DrawFn) -> Phonemes:
    symbols = draw(st.lists(texts, max_size=5))
    timed = st.lists(st.tuples(times, times), min_size=len(symbols), max_size=len(symbols))
    kind = draw(st.sampled_from(["arpabet", "ipa"]))
    return Phonemes(
        alphabet=kind, source=draw(texts), symbols=symbols, times=draw(st.none() | timed)
    )


@st.composite
def utterances(draw: st.DrawFn, name: str) -> Utterance:
    return Utterance(
        id=name,
        file=draw(names),
        start=draw(st.none() | times),
        end=draw(st.none() | times.filter(bool)),
        speaker=draw(maybe),
        gender=draw(st.sampled_from(["f", "m", None])),
        session=draw(maybe),
        dialog=draw(maybe),
        language=draw(st.sampled_from([None, "en", "zh"])),
        transcript=draw(maybe),
        style=draw(st.sampled_from([None, *STYLES])),
        emotion=draw(maybe),
        phonemes=draw(st.none() | phonemes()),
    )


@st.composite
def corpora(draw: st.DrawFn, ids: st.SearchStrategy[str] = texts) -> list[Utterance]:
    found = draw(st.lists(ids, max_size=5, unique=True))
    return [draw(utterances(name)) for name in found]


headers = st.builds(
    Header,
    corpus=names,
    root=texts,
    partial=st.booleans(),
    skipped=st.dictionaries(texts, st.integers(0, 10**12), max_size=3),
    phonemo=texts,
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A folder that nobody has used, for each example."""
    folder, number = tmp_path_factory.mktemp("manifests"), count()

    def make():
        made = folder / str(next(number))
        made.mkdir()
        return made

    return make


@some
@given(headers, corpora())
def test_a_manifest_reads_back(fresh, header, rows):
    path = fresh() / "manifest.jsonl"
    write_manifest(path, header, rows)
    assert read_manifest(path) == Manifest(header=header, utterances=tuple(rows), path=path)
    assert list(stream_manifest(path)) == rows
    data = path.read_bytes()
    assert data.count(b"\n") == 1 + len(rows)
    write_manifest(path, stream_manifest(path).header, list(stream_manifest(path)))
    assert path.read_bytes() == data


@few
@example("caf\udce9")
@given(file_names)
def test_a_manifest_takes_names_that_are_no_text(fresh, name):
    path = fresh() / "manifest.jsonl"
    header = Header(corpus="x", root=name, phonemo="test")
    rows = [Utterance(id=name, file=name, speaker=name)]
    write_manifest(path, header, rows)
    read = read_manifest(path)
    assert (read.header, list(read.utterances)) == (header, rows)


@few
@given(st.lists(texts, min_size=2, max_size=6, unique=True), st.data())
def test_an_id_that_is_there_twice_is_found_wherever_it_stands(fresh, ids, data):
    ids.insert(data.draw(st.integers(0, len(ids))), data.draw(st.sampled_from(ids)))
    rows = [Utterance(id=name, file="a.wav") for name in ids]
    folder = fresh()
    with pytest.raises(ManifestError, match="is repeated"):
        write_manifest(folder / "m.jsonl", Header(corpus="x", root=".", phonemo="t"), rows)
    assert list(folder.iterdir()) == []


#: Cells as a table may hold them: blanks at their ends are cut off.
cells = texts.map(str.strip)


@some
@example(["one\u2028two"], ",")
@given(st.lists(cells, min_size=1, max_size=4), st.sampled_from(",;\t"))
def test_a_table_of_utterances_reads_back(fresh, transcripts, delimiter):
    path = fresh() / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, delimiter=delimiter)
        rows.writerow(["file", "emotion", "transcript", "speaker"])
        for number, text in enumerate(transcripts):
            rows.writerow([f"{number}.wav", "joy", text, text])
    found = csv_table.read(path).utterances
    assert [one.id for one in found] == [str(number) for number in range(len(transcripts))]
    assert [one.transcript for one in found] == [text or None for text in transcripts]
    assert [one.speaker for one in found] == [text or None for text in transcripts]


@st.composite
def trees(draw: st.DrawFn) -> object:
    """Corpora, merged in any order: a name, or a list of what was merged."""
    left = draw(st.permutations(["a", "b-c", "iemocap", "x y"]))[: draw(st.integers(2, 4))]
    while len(left) > 1:
        size = draw(st.integers(2, len(left)))
        left = [*left[size:], left[:size]]
    return left[0]


@few
@example([["a", "b-c"], "iemocap"])
@given(trees())
def test_merged_manifests_come_apart_again_however_they_were_nested(fresh, tree):
    """What a network has learnt from is known by corpus and id, as they were before a merge."""
    folder = fresh()

    def made(one, name="m"):
        if isinstance(one, list):
            parts = [made(part, f"{name}-{number}") for number, part in enumerate(one)]
            return merge(parts, folder / f"{name}.jsonl").path
        path = folder / one / "manifest.jsonl"
        header = Header(corpus=one, root=".", phonemo="test")
        write_manifest(path, header, [Utterance(id=f"{one}/1", file="1.wav", speaker=f"of {one}")])
        return path

    merged = read_manifest(made(tree))
    found = by_corpus(merged.header.corpus, merged.utterances)
    told = {name: [(one.id, one.speaker) for one in rows] for name, rows in found.items()}
    leaves = merged.header.corpus.split("+")
    assert told == {name: [(f"{name}/1", f"of {name}")] for name in leaves}
    for name, (row,) in found.items():
        assert merged.audio_path(row).resolve() == (folder / name / "1.wav").resolve()


# What phonemo batch reads and writes


@st.composite
def items(draw: st.DrawFn) -> dict[str, object]:
    """A row of a manifest of recordings."""
    start = draw(st.none() | st.floats(0, 1e5))
    row = {"id": draw(names), "file": draw(names), "start": start}
    return row | {"end": draw(st.none() | st.floats(0.01, 1e5).map(lambda x: x + (start or 0)))}


def expected(rows):
    """(file, id, start, end) of each."""
    return [(row["file"], row["id"], row["start"], row["end"]) for row in rows]


def told(name, path):
    return [(one.file, one.id, one.start, one.end) for one in READERS[name](str(path))]


@some
@given(st.lists(items(), min_size=1, max_size=4), st.sampled_from(["jsonl", "csv", "tsv"]))
def test_a_manifest_of_recordings_reads_back(fresh, rows, kind):
    path = fresh() / f"m.{kind}"
    assume(all(row["end"] is None or row["end"] > (row["start"] or 0) for row in rows))
    if kind == "jsonl":
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_bytes("".join(line + "\n" for line in lines).encode())
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            delimiter = "," if kind == "csv" else "\t"
            table = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
            table.writeheader()
            table.writerows(rows)
    assert told(f".{kind}", path) == expected(rows)


@few
@given(st.lists(items(), min_size=1, max_size=4))
def test_a_parquet_manifest_of_recordings_reads_back(fresh, rows):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    assume(all(row["end"] is None or row["end"] > (row["start"] or 0) for row in rows))
    path = fresh() / "m.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert told(".parquet", path) == expected(rows)


LABELS = ("joy", "fear, or not", 'a "b"')


@some
@given(names, st.lists(predictions(labels=LABELS), max_size=3), st.booleans())
def test_the_rows_of_a_batch_read_back(fresh, name, answers, spans):
    item = BatchItem(name, f"/{name}", name, 0.5)
    rows = [row for one in answers for row in rows_of(item, one, spans)]
    path = fresh() / "part.jsonl"
    with writing_rows(path, "jsonl", LABELS, spans) as write:
        for row in rows:
            write(row)
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == rows


@few
@given(names, st.lists(predictions(labels=LABELS, who=st.none()), max_size=3), st.booleans())
def test_the_rows_of_a_batch_in_parquet_read_back(fresh, name, answers, spans):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        row
        for one in answers
        for row in rows_of(BatchItem(name, f"/{name}", name, 0.5), one, spans)
    ]
    path = fresh() / "part.parquet"
    with writing_rows(path, "parquet", LABELS, spans) as write:
        for row in rows:
            write(row)
    for row, found in zip(rows, parquet.read_table(path).to_pylist(), strict=True):
        known = without_nulls(found)
        for one in known.get("spans") or ():
            one.update({} if "share" in one else {"share": None})
        wanted = without_nulls(row)
        wanted["spans"] = [{"share": None, **one} for one in row.get("spans") or ()]
        assert known | {"spans": known.get("spans") or []} == wanted
