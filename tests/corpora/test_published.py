"""Published fold files: small examples, and EmoBox's real ones if available."""

from __future__ import annotations

import pytest

from phonemo.config import ProtocolConfig
from phonemo.corpora.published_folds import read_folds
from phonemo.corpora.splits import make_split
from phonemo.errors import LeakageError, ProtocolError
from tests.corpora.tiny_manifests import from_metadata, parallel, write_folds

ROWS = parallel(["f1", "f2", "m1", "m2"], ["one"])
BY_SPEAKER = {
    speaker: [row.id for row in ROWS if row.speaker == speaker]
    for speaker in ("f1", "f2", "m1", "m2")
}


def ids(*speakers):
    return [name for speaker in speakers for name in BY_SPEAKER[speaker]]


def split(folder, name="published", rows=ROWS, **options):
    return make_split(rows, ProtocolConfig(name=name, folder=str(folder), **options))


@pytest.fixture
def clean(tmp_path):
    """Two folds that keep speakers apart."""
    folds = [(ids("f1", "m1", "f2"), ids("m2")), (ids("m2", "m1", "f2"), ids("f1"))]
    return write_folds(tmp_path / "clean", folds)


@pytest.fixture
def leaky(tmp_path):
    """One fold with the first take of everyone in train and the second in test."""
    everyone = ids(*BY_SPEAKER)
    return write_folds(tmp_path / "leaky", [(everyone[::2], everyone[1::2])])


def test_train_and_test_are_as_published_and_validation_is_split_by_speaker(clean):
    result = split(clean)
    assert [fold.name for fold in result.folds] == ["fold-1", "fold-2"]
    assert [list(fold.test) for fold in result.folds] == [ids("m2"), ids("f1")]
    for fold, train in zip(result.folds, [("f1", "f2", "m1"), ("f2", "m1", "m2")], strict=True):
        assert sorted(fold.train + fold.validation) == sorted(ids(*train))
        assert len({name.split("-")[0] for name in fold.validation}) == 1
        assert len(fold.validation) == 2
    assert result.notes == ()
    assert result.unit == "speaker"


def test_two_validation_speakers_have_both_genders(clean):
    for fold in split(clean, validation_units=2).folds:
        assert {name[0] for name in fold.validation} == {"f", "m"}
        assert len(fold.train) == 2
    with pytest.raises(ProtocolError, match=r"expected at least 4 speakers .*, got 3"):
        split(clean, validation_units=3)


def test_shared_speakers_are_an_error_unless_the_name_says_so(leaky):
    with pytest.raises(LeakageError, match=r"share 4 speakers \(f1, f2, m1, m2\).*published-leaky"):
        split(leaky)
    result = split(leaky, "published-leaky")
    assert result.notes[0].startswith("LEAKY:")
    assert "up to 4 speakers" in result.notes[0]
    assert len({name.split("-")[0] for name in result.folds[0].validation}) == 1


def test_published_leaky_without_a_leak_has_a_note(clean):
    assert "share no speaker" in split(clean, "published-leaky").notes[0]


def test_ids_missing_from_the_manifest_are_an_error_and_ids_missing_from_the_files_a_note(clean):
    with pytest.raises(ProtocolError, match=r"1 of the 8 utterances .*, such as f1-0-0"):
        split(clean, rows=ROWS[1:])
    result = split(clean, rows=[*ROWS, *parallel(["f9"], ["one"])])
    assert result.notes == (
        "2 utterances of the manifest are in no published fold and are excluded",
    )
    assert not any(
        name.startswith("f9") for fold in result.folds for name in fold.train + fold.test
    )


def test_an_unknown_speaker_is_an_error(clean):
    rows = [ROWS[0].model_copy(update={"speaker": None}), *ROWS[1:]]
    with pytest.raises(ProtocolError, match="1 of 8 utterances have no speaker"):
        split(clean, rows=rows)


def test_the_same_utterance_in_train_and_test_is_never_allowed(tmp_path):
    folder = write_folds(tmp_path, [(ids("f1", "m1", "f2"), ids("m2", "f1"))])
    with pytest.raises(LeakageError, match=r"f1-0-. is in"):
        split(folder, "published-leaky")


def test_options_that_contradict(clean):
    with pytest.raises(ProtocolError, match=r"set protocol.folder"):
        make_split(ROWS, ProtocolConfig(name="published"))
    with pytest.raises(ProtocolError, match=r"set protocol.folds to null"):
        split(clean, folds=2)
    with pytest.raises(ProtocolError, match="expected folders fold_1"):
        split(clean / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected one JSON object per line"),
        ("[1]", "expected an audio path under the key 'wav'"),
        ('{"wav": ""}', "expected an audio path"),
        ('{"wav": "a/b.wav"}\n\n{"wav": "c/b.flac"}', "jsonl:3: b is repeated"),
        ("\udce9", "expected JSON lines in UTF-8"),
    ],
)
def test_malformed_files(clean, text, message):
    path = clean / "fold_2" / "toy_test_fold_2.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ProtocolError, match=message):
        read_folds(clean)


def test_a_missing_or_repeated_part_is_an_error(clean):
    path = clean / "fold_1" / "toy_train_fold_1.jsonl"
    path.with_name("other_train_fold_1.jsonl").write_bytes(path.read_bytes())
    with pytest.raises(ProtocolError, match="got 2"):
        read_folds(clean)
    path.unlink()
    path.with_name("other_train_fold_1.jsonl").unlink()
    with pytest.raises(ProtocolError, match="got 0"):
        read_folds(clean)


def test_folds_come_in_the_order_of_their_numbers(tmp_path):
    folder = write_folds(tmp_path, [(["a"], ["b"])] * 11)
    (folder / "fold_notes").mkdir()
    assert [fold.name for fold in read_folds(folder)] == [f"fold-{n}" for n in range(1, 12)]


def test_emobox_folds_of_ravdess_keep_speakers_apart(shared_folder):
    rows = from_metadata(shared_folder / "corpora" / "ravdess")
    result = split(shared_folder / "folds" / "ravdess", rows=rows)
    assert [len(fold.test) for fold in result.folds] == [240] * 6
    assert [len(fold.train) + len(fold.validation) for fold in result.folds] == [1200] * 6
    assert {name for fold in result.folds for name in fold.test} == {row.id for row in rows}


def test_emobox_folds_of_emodb_leak(shared_folder):
    rows = from_metadata(shared_folder / "corpora" / "emodb")
    with pytest.raises(LeakageError, match="share 10 speakers"):
        split(shared_folder / "folds" / "emodb", rows=rows)
    result = split(shared_folder / "folds" / "emodb", "published-leaky", rows=rows)
    assert [len(fold.test) for fold in result.folds] == [107] * 5
