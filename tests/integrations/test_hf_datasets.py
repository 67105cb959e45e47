"""Hugging Face datasets in and out: round trips, class labels, streams, and bad rows."""

from __future__ import annotations

import io
import sys

import datasets
import pytest
import soundfile

import phonemo
from phonemo.corpora.manifest import Header, Phonemes, Utterance, read_manifest, write_manifest
from phonemo.errors import CorpusError, UsageError
from phonemo.integrations.datasets import from_datasets, predict_dataset, predict_rows, to_datasets
from tests.tiny_bundle import BUNDLE, RATE, make_clip


@pytest.fixture(autouse=True)
def _caches_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def wav(hertz: float = 200.0, samples: int = 9000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, make_clip(samples, hertz), RATE, format="WAV")
    return file.getvalue()


def dataset(*rows: tuple[str | None, bytes | None, int], names=("Angry", "glee")):
    features = datasets.Features(
        {
            "audio": {"path": datasets.Value("string"), "bytes": datasets.Value("binary")},
            "emotion": datasets.ClassLabel(names=list(names)),
            "who": datasets.Value("string"),
        }
    )
    data = {
        "audio": [{"path": path, "bytes": content} for path, content, _ in rows],
        "emotion": [label for _, _, label in rows],
        "who": [f"speaker {n % 2}" for n in range(len(rows))],
    }
    made = datasets.Dataset.from_dict(data, features=features)
    return made.cast_column("audio", datasets.Audio())


class TestIn:
    def test_recordings_and_class_labels_become_a_manifest(self, tmp_path):
        given = dataset(("a.wav", wav(), 0), ("b/c.flac", wav(300), 1), (None, wav(400), -1))
        made = from_datasets(given, tmp_path / "mine", columns={"speaker": "who"})
        assert made.utterances == 3
        rows = read_manifest(tmp_path / "mine" / "manifest.jsonl")
        assert [row.emotion for row in rows.utterances] == ["anger", "glee", None]
        assert [row.speaker for row in rows.utterances] == ["speaker 0", "speaker 1", "speaker 0"]
        names = [row.file for row in rows.utterances]
        assert names == ["audio/000000-a.wav", "audio/000001-c.flac", "audio/000002.audio"]
        assert rows.audio_path(rows.utterances[0]).read_bytes() == wav()

    def test_a_streaming_dataset_is_accepted(self, tmp_path):
        given = dataset(("a.wav", wav(), 0), ("b.wav", wav(300), 1)).to_iterable_dataset()
        assert from_datasets(given, tmp_path / "mine").utterances == 2

    def test_files_are_read_if_there_are_no_bytes(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(wav())
        given = dataset((str(tmp_path / "a.wav"), None, 0), (str(tmp_path / "no.wav"), None, 0))
        assert from_datasets(given, tmp_path / "mine").utterances == 1

    def test_damaged_audio_is_skipped_and_counted(self, tmp_path):
        given = dataset(("a.wav", wav(), 0), ("b.wav", b"no audio", 1), ("c.wav", b"", 1))
        made = from_datasets(given, tmp_path / "mine")
        assert made.utterances == 1
        assert sum(made.skipped.values()) == 2

    @pytest.mark.parametrize(
        "name", ["../../evil.wav", "/etc/passwd", "..\\..\\evil.wav", "a\0b.wav", "x" * 300, "."]
    )
    def test_no_name_escapes_the_folder(self, tmp_path, name):
        from_datasets(dataset((name, wav(), 0)), tmp_path / "mine")
        files = [
            path for path in tmp_path.rglob("*") if path.is_file() and "cache" not in str(path)
        ]
        assert {path.parent for path in files} <= {tmp_path / "mine", tmp_path / "mine" / "audio"}
        assert len(files) == 2

    def test_invalid_arguments_are_errors(self, tmp_path):
        given = dataset(("a.wav", wav(), 0))
        with pytest.raises(
            UsageError, match="no column 'sound'; the columns are audio, emotion, who"
        ):
            from_datasets(given, tmp_path / "mine", audio="sound")
        with pytest.raises(UsageError, match="no column 'mood'"):
            from_datasets(given, tmp_path / "mine", emotion="mood")
        with pytest.raises(UsageError, match="one split, got train, test; pass one"):
            from_datasets(datasets.DatasetDict({"train": given, "test": given}), tmp_path / "mine")
        with pytest.raises(UsageError, match="got 'age'"):
            from_datasets(given, tmp_path / "mine", columns={"age": "who"})
        assert not (tmp_path / "mine").exists()

    def test_an_existing_folder_is_not_changed(self, tmp_path):
        given = dataset(("a.wav", wav(), 0))
        from_datasets(given, tmp_path / "mine")
        with pytest.raises(CorpusError, match="already exists"):
            from_datasets(given, tmp_path / "mine")


class TestOut:
    @pytest.fixture
    def manifest(self, tmp_path):
        (tmp_path / "talk.wav").write_bytes(wav(samples=32_000))
        phonemes = Phonemes(alphabet="ipa", source="by hand", symbols=("d", "a", "s"))
        rows = [
            Utterance(id="whole", file="talk.wav", emotion="anger", speaker="s", phonemes=phonemes),
            Utterance(id="part/1", file="talk.wav", start=0.5, end=1.5, emotion="calm"),
            Utterance(id="unknown", file="talk.wav", transcript="words", language="en"),
        ]
        header = Header(corpus="csv", root=str(tmp_path), phonemo="0")
        write_manifest(tmp_path / "m.jsonl", header, rows)
        return read_manifest(tmp_path / "m.jsonl")

    def test_the_dataset_has_all_known_fields(self, manifest):
        result = to_datasets(manifest)
        assert result.features["emotion"].names == ["anger", "calm"]
        assert result["emotion"][:] == [0, 1, None]
        assert result["phonemes"][:] == [["d", "a", "s"], None, None]
        assert result[2]["transcript"] == "words"
        assert result[0]["audio"]["bytes"] == wav(samples=32_000)

    def test_a_part_of_a_file_is_cut_out(self, manifest):
        audio = to_datasets(manifest)[1]["audio"]
        samples, rate = soundfile.read(io.BytesIO(audio["bytes"]))
        assert (len(samples), rate) == (16_000, RATE)
        assert audio["path"] == "part-1.flac"

    def test_a_round_trip_keeps_the_manifest(self, manifest, tmp_path):
        made = from_datasets(
            to_datasets(manifest), tmp_path / "back", columns={"speaker": "speaker"}
        )
        again = read_manifest(tmp_path / "back" / "manifest.jsonl")
        assert made.utterances == 3
        assert [row.emotion for row in again.utterances] == ["anger", "calm", None]

    def test_it_is_saved_and_read_by_datasets(self, manifest, tmp_path):
        to_datasets(manifest).save_to_disk(str(tmp_path / "saved"))
        again = datasets.load_from_disk(str(tmp_path / "saved"))
        assert again["id"][:] == ["whole", "part/1", "unknown"]


RESULTS = ["label", "unsure", "scores", "error"]


class TestHeard:
    def test_rows_have_the_models_predictions(self):
        model = phonemo.load(BUNDLE)
        given = dataset(("a.wav", wav(), 0), ("b.wav", b"no audio", 1), ("c.wav", wav(300), 1))
        result = predict_dataset(model, given)
        assert result.column_names == ["audio", "emotion", "who", *RESULTS]
        expected = model.predict(wav())
        assert result["label"][0] == expected.label
        assert result["scores"][0] == pytest.approx(expected.scores)
        assert result["unsure"][0] == expected.unsure
        assert (result["label"][1], result["unsure"][1]) == (None, None)
        assert "\n" not in result["error"][1]
        assert result["error"][2] is None

    def test_a_streaming_dataset_is_predicted_lazily(self):
        given = dataset(("a.wav", wav(), 0), ("b.wav", b"", 1)).to_iterable_dataset()
        rows = predict_rows(phonemo.load(BUNDLE), given)
        assert next(rows)["error"] is None
        assert next(rows)["label"] is None
        with pytest.raises(UsageError, match="use predict_rows"):
            predict_dataset(
                phonemo.load(BUNDLE), datasets.IterableDataset.from_generator(lambda: ())
            )

    def test_existing_columns_are_not_overwritten(self):
        given = dataset(("a.wav", wav(), 0)).rename_column("who", "label")
        made = predict_dataset(phonemo.load(BUNDLE), given)
        added = [f"predicted_{name}" for name in RESULTS]
        assert made.column_names == [*given.column_names, *added]
        assert made["label"] == given["label"]
        with pytest.raises(UsageError, match="already has a column 'predicted_error'"):
            predict_dataset(phonemo.load(BUNDLE), made)
        assert "my_label" in predict_dataset(phonemo.load(BUNDLE), made, prefix="my_").column_names

    def test_columns_of_paths_bytes_and_samples_are_recognized(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(wav())
        samples = {"array": make_clip(9000, 200.0).tolist(), "sampling_rate": RATE}
        for value in (str(tmp_path / "a.wav"), wav(), samples):
            given = datasets.Dataset.from_dict({"clip": [value]})
            (row,) = predict_rows(phonemo.load(BUNDLE), given, audio="clip")
            assert row["error"] is None

    def test_no_third_party_decoder_is_loaded(self):
        list(predict_rows(phonemo.load(BUNDLE), dataset(("a.wav", wav(), 0))))
        assert not {"torchcodec", "torchaudio", "librosa"} & set(sys.modules)
