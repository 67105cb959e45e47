"""The command line as its users meet it, the careless and the hostile ones too.

Commands run inside this process, so that torch is imported once; what they write is caught at the
file descriptors, so that no library writes past us.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.cli import main
from phonemo.config import write_config
from phonemo.corpora.manifest import Header, write_manifest
from phonemo.corpora.splits import make_split
from phonemo.errors import PhonemoError
from tests.answers import Answer
from tests.corpora.tiny_manifests import parallel, write_folds
from tests.tiny import make_csv, make_emodb
from tests.tiny_bundle import BUNDLE, CLIPS, make_clip

NAMES = ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY")
CONFIG = """
name: tiny
manifest: nowhere.jsonl
output: {here}/run
labels: {{names: [anger, neutral]}}
model: {{backbone: nowhere}}
"""


Phonemo = Callable[..., Answer]


def call(*words: object) -> int:
    """Run main() with these words; the exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["phonemo", *map(str, words)])
        for name in NAMES:  # main sets what is not set; put it back
            patch.setenv(name, "error")
        with pytest.raises(SystemExit) as left:
            main.main()
    return int(left.value.code or 0)


@pytest.fixture
def phonemo(capfd: pytest.CaptureFixture[str]) -> Phonemo:
    """Type a command."""

    def typed(*words: object) -> Answer:
        code = call(*words)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return typed


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with everything a bad command may name."""
    make_emodb(tmp_path / "emodb")
    make_csv(tmp_path / "table")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("this is text", encoding="utf-8")
    (tmp_path / "run.yaml").write_text(CONFIG.format(here=tmp_path), encoding="utf-8")
    (tmp_path / "typo.yaml").write_text("nam: tiny\n", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("name: [tiny", encoding="utf-8")
    (tmp_path / "README.md").write_text("no markers\n", encoding="utf-8")
    rows = parallel(("f1", "f2", "m1", "m2"), ("Yes, it is.", "No, not at all."))
    write_manifest(tmp_path / "m.jsonl", Header(corpus="toy", root=".", phonemo="test"), rows)
    ids = [row.id for row in rows]
    write_folds(tmp_path / "folds", [(ids[::2], ids[1::2]), (ids[1::2], ids[::2])])
    return tmp_path


def assert_one_line(answer: Answer, code: int, *fragments: str) -> None:
    """One line on standard error that says all this, and nothing for the pipe."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.startswith("phonemo: ")
    assert answer.err.count("\n") == 1, answer.err
    for fragment in fragments:
        assert fragment in answer.err


# Help and usage -----------------------------------------------------------------------------------


def test_help_names_every_command_with_a_whole_sentence(phonemo):
    answer = phonemo("--help")
    assert (answer.code, answer.err) == (0, "")
    commands = answer.out.partition("Commands:\n")[2].splitlines()
    names = ["corpora", "prepare", "merge", "inspect", "train", "pretrain", "probe", "script"]
    names += ["evaluate", "predict", "align", "adapt", "batch", "serve", "doctor", "mcp", "site"]
    names += ["init-corpus", "finetune", "page"]
    names += ["export", "shrink", "push", "card", "ablate", "cross", "calibrate"]
    names += ["transfer", "dimensions", "phonemes", "fit-head", "report", "compare"]
    assert [line.split()[0] for line in commands] == names
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


@pytest.mark.parametrize(
    "command", [item.name or item.callback.__name__ for item in main.app.registered_commands]
)
def test_every_option_of_every_command_is_explained(phonemo, command):
    answer = phonemo(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    for line in answer.out.partition("Options:\n")[2].splitlines():
        assert line.startswith(" " * 20) or "  " in line.strip(), f"{line!r} has no help"


def test_the_version_is_printed(phonemo):
    from phonemo.version import __version__

    assert phonemo("--version") == Answer(0, f"phonemo {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("klingon",),
        ("predict", "--model", "m"),
        ("predict", "a.wav", "--model", "m", "--format", "xml"),
        ("export", "m"),
        ("export", "m", "-o", "b", "--precision", "int4"),
        ("train",),
        ("inspect", "m.jsonl", "--folds", "many"),
        ("prepare", "emodb", "root"),
        ("report", "--colour"),
    ],
)
def test_wrong_usage_leaves_with_two(phonemo, words):
    answer = phonemo(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert "Usage: phonemo" in answer.err
    assert "Traceback" not in answer.err


def test_corpora_lists_every_corpus_with_its_licence(phonemo):
    from phonemo.corpora import CORPORA

    answer = phonemo("corpora")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == list(CORPORA)
    cards = [corpus.card for corpus in CORPORA.values()]
    for card, line in zip(cards, lines[1::2], strict=True):
        home = f"; {card.homepage}" if card.homepage else ""
        assert line.strip() == f"licence: {card.licence}{home}"


# Bad input without a network ----------------------------------------------------------------------

#: Words, exit status, what the one line must say.
BAD = [
    ("prepare klingon {here} -o {here}/o", 2, ("'klingon'", "emodb", "csv")),
    ("prepare emodb {here}/nowhere -o {here}/o", 1, ("no such folder",)),
    ("prepare emodb {here}/empty -o {here}/o", 1, ("expected a folder wav", "03a01Fa.wav")),
    (
        "prepare emodb {here}/emodb --no-g2p -o {here}/o",
        1,
        ("expected 535 as published", "--allow-partial"),
    ),
    ("prepare emodb {here}/text.wav -o {here}/o", 1, ("expected a folder, got a file",)),
    ("prepare csv {here}/empty -o {here}/o", 1, ("expected a csv or tsv table",)),
    ("prepare emodb {here}/emodb -o {here}/empty", 2, ("got a folder; name the file",)),
    (
        "prepare emodb {here}/emodb -o {here}/text.wav/a/b",
        2,
        ("text.wav is not a writable folder",),
    ),
    ("inspect {here}/nowhere.jsonl", 1, ("no such manifest", "phonemo prepare")),
    ("inspect {here}/text.wav", 1, ("text.wav:1", "expected JSON")),
    ("inspect {here}/m.jsonl --protocol klingon", 2, ("'klingon'", "'speaker-sentence'")),
    ("inspect {here}/m.jsonl --folds 1", 2, ("--folds 1", "2")),
    ("inspect {here}/m.jsonl --folds 9", 1, ("got 4", "9 folds")),
    ("inspect {here}/m.jsonl --validation-units 0", 2, ("--validation-units 0",)),
    ("inspect {here}/m.jsonl --drop-near-duplicates nan", 2, ("--drop-near-duplicates",)),
    ("inspect {here}/m.jsonl --protocol session", 1, ("no session",)),
    ("inspect {here}/m.jsonl --protocol published", 2, ("--folder",)),
    ("inspect {here}/m.jsonl --folder {here}/folds", 2, ("--protocol speaker",)),
    (
        "inspect {here}/m.jsonl --protocol published --folder {here}/empty",
        1,
        ("expected folders fold_1",),
    ),
    (
        "inspect {here}/m.jsonl --protocol published --folder {here}/folds",
        1,
        ("share 4 speakers", "published-leaky"),
    ),
    ("train {here}/nowhere.yaml", 2, ("no such config file",)),
    ("train {here}/broken.yaml", 2, ("expected YAML",)),
    ("train {here}/typo.yaml", 2, ("key 'name' is missing",)),
    ("train {here}/run.yaml --set train.epoch=3", 2, ("'train.epoch'", "epochs", "batch_size")),
    ("train {here}/run.yaml --set colour=3", 2, ("'colour'", "manifest", "seeds")),
    ("train {here}/run.yaml --set train.epochs=many", 2, ("train.epochs", "'many'")),
    ("train {here}/run.yaml --set train.strategy=magic", 2, ("'magic'", "'freeze_cnn'")),
    ("train {here}/run.yaml --set train.epochs", 2, ("KEY=VALUE",)),
    ("train {here}/run.yaml --set =3", 2, ("KEY=VALUE",)),
    ("train {here}/run.yaml --set name.x=3", 2, ("'name' has no keys",)),
    ("train {here}/run.yaml --set train.epochs=[1", 2, ("expected YAML",)),
    ("evaluate {here}/nowhere", 1, ("no such folder",)),
    ("evaluate {here}/empty --labels anger,,neutral", 2, ("--labels", "'anger,,neutral'")),
    ("evaluate {here}/empty -o {here}/empty", 2, ("got a folder; name the file",)),
    ("report --results {here}/nowhere", 1, ("no such folder",)),
    ("report --output {here}/r.md --readme {here}/README.md", 1, ("<!-- results:start -->",)),
]


@pytest.mark.parametrize(("words", "code", "fragments"), BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_one_clear_line(phonemo, here, words, code, fragments):
    before = sorted(path for path in here.rglob("*"))
    answer = phonemo(*(word.format(here=here) for word in words.split(" ")))
    assert_one_line(answer, code, *fragments)
    assert sorted(path for path in here.rglob("*")) == before, "and nothing was written"


def test_an_error_is_one_line_for_any_file_name(phonemo, tmp_path):
    assert_one_line(phonemo("inspect", tmp_path / "a\nb\x1b[31m.jsonl"), 1, "a?b?[31m.jsonl")


def test_a_failed_write_is_a_one_line_error(phonemo, here, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "m.jsonl.part")

    monkeypatch.setattr("phonemo.corpora.prepare.write_manifest", refuse)
    words = ("prepare", "csv", here / "table", "--no-g2p", "-o", here / "o.jsonl")
    assert_one_line(phonemo(*words), 1, "m.jsonl.part: No space left on device", "free space")


def test_a_bug_is_not_reported_as_an_expected_error(phonemo, here, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("phonemo.corpora.prepare.prepare", fail)
    with pytest.raises(ZeroDivisionError):
        main.app(["prepare", "csv", str(here / "table"), "-o", str(here / "o.jsonl")])


def test_an_interrupted_command_explains_how_to_resume(phonemo, here, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("phonemo.corpora.prepare.prepare", interrupted)
    answer = phonemo("prepare", "csv", here / "table", "-o", here / "o.jsonl")
    assert_one_line(answer, 130, "stopped; run the same command again")
    assert "where it stopped" not in answer.err, "prepare begins anew"


def test_without_torch_the_extra_is_named(phonemo, here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    export = ("export", here, "-o", here / "bundle")
    for words in (("train", here / "run.yaml"), ("predict", "a.wav", "--model", here), export):
        assert_one_line(phonemo(*words), 1, "pip install 'phonemo[train]'")


# prepare, inspect, report -------------------------------------------------------------------------


def test_prepare_counts_and_writes_a_manifest_that_inspect_reads(phonemo, here):
    manifest = here / "new" / "deep" / "m.jsonl"
    words = ("prepare", "emodb", here / "emodb", "-o", manifest, "--allow-partial", "--no-g2p")
    answer = phonemo(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"{manifest}: 4 utterances, 3 speakers, 4 emotions, 0.00 h, PART")
    assert "  emotions: anger 1, boredom 1, happiness 1, neutral 1\n" in answer.out
    assert "  speakers: 03 2, 08 1, 16 1\n" in answer.out
    assert "  warning: utterances: expected 535 as published, got 4\n" in answer.out
    looked = phonemo("inspect", manifest)
    assert (looked.code, looked.err) == (0, "")
    assert "3 folds by speaker of 4 utterances" in looked.out


def test_inspect_allows_and_reports_a_requested_leak(phonemo, here):
    leaky = phonemo("inspect", here / "m.jsonl", "--protocol", "random-leaky")
    assert (leaky.code, leaky.err) == (0, "")
    assert "LEAKY" in leaky.out
    words = ("--protocol", "published-leaky", "--folder", here / "folds")
    published = phonemo("inspect", here / "m.jsonl", *words)
    assert published.code == 0
    assert "share up to" in published.out


def test_inspect_rejects_a_leak_of_a_split_that_should_have_none(phonemo, here, monkeypatch):
    def leaky(rows, settings, copies):
        return make_split(rows, settings.model_copy(update={"name": "random-leaky"}), copies)

    monkeypatch.setattr("phonemo.corpora.splits.make_split", leaky)
    answer = phonemo("inspect", here / "m.jsonl")
    assert answer.code == 1
    assert "speakers" in answer.out, "the report comes first"
    assert answer.err.startswith("phonemo: random-1: train and test share 3 speakers")
    assert answer.err.count("\n") == 1


def test_inspect_reports_skipped_rows_and_accepts_a_corpus_without_emotions(phonemo, tmp_path):
    rows = parallel(("a", "b", "c"), ("Yes.", "No."))
    silent = [row.model_copy(update={"emotion": None}) for row in rows]
    head = Header(corpus="toy", root=".", phonemo="test")
    write_manifest(tmp_path / "some.jsonl", head, [silent[0], *rows[1:]])
    write_manifest(tmp_path / "none.jsonl", head, silent)
    some = phonemo("inspect", tmp_path / "some.jsonl")
    assert some.err == "phonemo: 1 of 12 utterances have no emotion and were skipped\n"
    assert "of 11 utterances" in some.out
    none = phonemo("inspect", tmp_path / "none.jsonl")
    assert (none.code, none.err) == (0, "")
    assert "of 12 utterances" in none.out


def test_report_writes_then_confirms_then_detects_a_change(phonemo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    markers = "<!-- results:start -->\n<!-- results:end -->\n"
    Path("README.md").write_text(markers, encoding="utf-8")
    assert_one_line(phonemo("report", "--check"), 1, "RESULTS.md, README.md", "make report")
    assert not Path("RESULTS.md").exists()
    assert phonemo("report") == Answer(0, "written: RESULTS.md, README.md\n", "")
    assert phonemo("report") == Answer(0, "no changes\n", "")
    assert phonemo("report", "--check") == Answer(0, "", "")
    Path("RESULTS.md").write_text("UA 100 %", encoding="utf-8")
    assert_one_line(phonemo("report", "--check"), 1, "RESULTS.md: out of date with results/")


def test_a_closed_pipe_is_not_reported_as_an_error(tmp_path):
    speakers = [f"speaker{number:04}" for number in range(600)]
    rows = parallel(speakers, ("Yes.",), takes=1)
    write_manifest(tmp_path / "m.jsonl", Header(corpus="toy", root=".", phonemo="test"), rows)
    command = [sys.executable, "-m", "phonemo", "inspect", str(tmp_path / "m.jsonl")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--folds", "600"], **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("protocol speaker")
        process.stdout.close()
        assert process.stderr.read() == ""


# With a network -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """Two folds of the tiny corpus, trained by the command line, and what that printed."""

    home: Path
    config: Path
    answer: Answer

    @property
    def run(self) -> Path:
        return self.home / "runs" / "tiny"

    @property
    def model(self) -> Path:
        return self.run / "seed-1" / "speaker-s1" / "model"

    @property
    def manifest(self) -> Path:
        return self.home / "corpus" / "manifest.jsonl"

    @property
    def clip(self) -> Path:
        return self.manifest.with_name("s1-anger-0.wav")

    @property
    def train(self) -> tuple[object, ...]:
        """The words that trained it."""
        folds = ("--fold", "speaker-s1", "--fold", "speaker-s2", "--fold", "speaker-s1")
        return ("train", self.config, *folds)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    pytest.importorskip("torch")
    from tests.train.tiny_run import make_config

    home = tmp_path_factory.mktemp("cli")
    with redirect_stderr(io.StringIO()):
        write_config(home / "config.yaml", make_config(home, epochs=1))
    result = Trained(home, home / "config.yaml", Answer(0, "", ""))
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = call(*result.train)
    return Trained(home, home / "config.yaml", Answer(code, out.getvalue(), err.getvalue()))


def test_train_prints_scores_and_reports_each_fold_on_stderr(trained):
    answer = trained.answer
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("tiny: tiny, multi-task (phonemes), frozen (beeps, speaker, 2 folds")
    assert lines[-1] == f"  run folder: {trained.run}"
    assert [line.split(":")[0] for line in answer.err.splitlines()] == [
        "speaker-s1 seed 1",
        "speaker-s2 seed 1",
    ]


def test_train_again_changes_nothing_and_can_be_quiet(phonemo, trained):
    rows = (trained.run / "predictions.jsonl").read_bytes()
    again = phonemo(*trained.train, "--quiet")
    assert again == Answer(0, trained.answer.out, "")
    assert (trained.run / "predictions.jsonl").read_bytes() == rows


#: Words after `train CONFIG --output {home}/new`, exit status, what the one line must say.
BAD_TRAIN = [
    ("--set manifest={home}/nowhere.jsonl", 1, ("no such manifest", "phonemo prepare")),
    ("--set labels.names=[joy,grief]", 1, ("joy, grief", "got anger, neutral, sadness")),
    ("--set labels.names=[anger]", 2, ("at least two",)),
    ("--set labels.names=[anger,anger]", 2, ("repeated",)),
    ("--set labels.merge={{calm:serenity}}", 2, ("labels.merge",)),
    ("--set model.backbone={home}/nowhere", 1, ("nowhere", "no such folder", "config.json")),
    ("--set model.backbone={home}/corpus", 1, ("corpus", "config.json")),
    ("--set model.layers=99", 1, ("expected model.layers of at most 3", "got 99")),
    ("--set model.width=9", 1, ("expected a width", "attention_heads 2")),
    ("--fold moon", 1, ("'moon'", "speaker-s1, speaker-s2")),
    ("--set protocol.name=session", 1, ("no session",)),
    ("--set protocol.name=published", 1, ("protocol.folder",)),
    ("--output {home}/corpus", 1, ("expected a run folder", "--output")),
    ("--output {home}/corpus --overwrite", 1, ("not overwritten", "--output")),
    ("--output {home}/config.yaml", 1, ("config.yaml: File exists",)),
    ("--output {home}/runs/tiny --set model.width=16", 1, ("another config", "now 16", "--over")),
]


@pytest.mark.parametrize(
    ("words", "code", "fragments"), BAD_TRAIN, ids=[case[0] for case in BAD_TRAIN]
)
def test_bad_training_is_one_clear_line(phonemo, trained, words, code, fragments):
    typed = [word.format(home=trained.home) for word in words.split(" ")]
    if "--output" not in typed:
        typed += ["--output", str(trained.home / "new")]
    assert_one_line(phonemo("train", trained.config, *typed), code, *fragments)
    assert trained.manifest.is_file(), "and what is not phonemo's stays"


def test_a_label_that_no_utterance_has_is_refused(phonemo, trained, monkeypatch):
    monkeypatch.setattr(
        "phonemo.train.experiments.fold.FoldRun.run", lambda *_: pytest.fail("it trains")
    )
    words = ("--set", "labels.names=[anger,neutral,joy]", "-o", trained.home / "label")
    assert_one_line(phonemo("train", trained.config, *words), 1, "joy")


def test_a_run_that_failed_to_start_does_not_claim_its_folder(phonemo, trained):
    wrong = phonemo("train", trained.config, "--set", "model.backbone=x/", "-o", trained.home / "b")
    assert wrong.code == 1
    right = ("train", trained.config, "-o", trained.home / "b", "--fold", "speaker-s1", "-q")
    assert phonemo(*right).code == 0


def test_interrupted_training_reports_that_it_can_resume(phonemo, trained, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("phonemo.train.experiments.fold.FoldRun.run", interrupted)
    answer = phonemo("train", trained.config, "-o", trained.home / "stopped")
    assert_one_line(answer, 130, "run the same command again to resume")


# evaluate -----------------------------------------------------------------------------------------


def test_evaluate_tests_a_run_again_and_gets_the_same(phonemo, trained, tmp_path):
    answer = phonemo("evaluate", trained.run, "--output", tmp_path / "new" / "p.jsonl")
    assert (answer.code, answer.err) == (0, "")
    assert "note: 0 of 12 predictions differ" in answer.out
    assert "confusion (rows: true, columns: predicted)" in answer.out
    rows = [json.loads(line) for line in (tmp_path / "new" / "p.jsonl").read_text().splitlines()]
    assert {row["speaker"] for row in rows} == {"s1", "s2"}


def test_evaluate_rescores_stored_predictions_among_some_emotions(phonemo, trained, tmp_path):
    target = tmp_path / "tiny-2" / "metrics.json"
    words = ("evaluate", trained.run, "--labels", "sadness,anger", "-o", target)
    answer = phonemo(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("tiny-2: tiny-2, multi-task")
    assert "chosen among 2 of the 3 emotions" in answer.out
    metrics = json.loads(target.read_text())
    assert (metrics["name"], metrics["results"]["labels"]) == ("tiny-2", ["anger", "sadness"])
    assert metrics["command"].startswith("phonemo evaluate")
    lines = (trained.run / "predictions.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["truth"] in ("anger", "sadness")]
    right = [
        (row["scores"]["anger"] > row["scores"]["sadness"]) == (row["truth"] == "anger")
        for row in rows
    ]
    assert metrics["results"]["utterances"] == len(rows) == 8
    assert metrics["results"]["wa"]["mean"] == pytest.approx(sum(right) / 8)
    assert_one_line(phonemo("evaluate", trained.run, "--labels", "anger,joy"), 2, "'joy'")


def test_evaluate_restricts_the_choice_to_the_labels(phonemo, trained, tmp_path):
    words = (
        "--manifest",
        trained.manifest,
        "--labels",
        "sadness, anger",
        "-o",
        tmp_path / "p.jsonl",
    )
    answer = phonemo("evaluate", trained.model, *words)
    assert (answer.code, answer.err) == (0, "")
    assert "8 of 24 utterances have none of the emotions anger, sadness" in answer.out
    everything = phonemo("evaluate", trained.model, "--manifest", trained.manifest)
    assert "have none of the emotions" not in everything.out
    assert "per gender" in answer.out
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert {frozenset(row["scores"]) for row in rows} == {frozenset({"anger", "sadness"})}


#: Words after `evaluate`, exit status, what the one line must say.
BAD_EVALUATE = [
    ("{model} --manifest {manifest} --labels anger,joy", 2, ("'joy'", "anger, neutral, sadness")),
    ("{model} --manifest {manifest} --labels anger", 2, ("at least two",)),
    ("{model}", 2, ("not a run folder", "--manifest")),
    ("{model} --manifest {home}/nowhere.jsonl", 1, ("no such manifest",)),
    ("{run} --manifest {manifest}", 1, ("a run folder", "speaker-s1/model")),
    ("{home}/corpus --manifest {manifest}", 1, ("no config.json",)),
]


@pytest.mark.parametrize(
    ("words", "code", "fragments"), BAD_EVALUATE, ids=[b[0] for b in BAD_EVALUATE]
)
def test_bad_evaluation_is_one_clear_line(phonemo, trained, words, code, fragments):
    places = {name: getattr(trained, name) for name in ("model", "run", "manifest", "home")}
    answer = phonemo("evaluate", *(word.format(**places) for word in words.split(" ")))
    assert_one_line(answer, code, *fragments)


# predict ------------------------------------------------------------------------------------------


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings of every bad kind, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("text.wav").write_text("this is text", encoding="utf-8")
    Path("empty.wav").touch()
    Path("folder.wav").mkdir()
    broken = np.full(8000, 0.1, dtype=np.float32)
    broken[7] = np.nan
    soundfile.write("nan.wav", broken, 16_000, subtype="FLOAT")
    soundfile.write("none.wav", broken[:0], 16_000)
    soundfile.write("short.wav", broken[100:200], 16_000)
    return tmp_path


#: File as it is typed -> code and words of its error.
BAD_CLIPS = {
    "nowhere.wav": ("missing_file", "no such file"),
    "./text.wav": (
        "unsupported_audio",
        "or amr, got text",
    ),
    "empty.wav": ("empty_audio", "0 bytes"),
    "none.wav": ("empty_audio", "no samples"),
    "short.wav": ("too_short", "got 100"),
    "nan.wav": ("invalid_audio", "not a number"),
    "folder.wav": ("unsupported_audio", "got a folder"),
    "http://localhost/a.wav": ("unsupported_audio", "download it"),
    "": ("missing_file", "no such file"),
}


def test_predict_writes_a_line_per_file_despite_bad_files(phonemo, trained, clips):
    alone = phonemo("predict", trained.clip, "--model", trained.model)
    assert (alone.code, alone.err) == (0, "")
    (good,) = alone.rows
    assert list(good)[:4] == ["file", "label", "unsure", "scores"]
    assert good["file"] == str(trained.clip)
    assert list(good["scores"]) == ["anger", "neutral", "sadness"]
    assert sum(good["scores"].values()) == pytest.approx(1)
    answer = phonemo("predict", trained.clip, *BAD_CLIPS, trained.clip, "--model", trained.model)
    assert answer.code == 1
    assert (
        answer.err
        == f"phonemo: {len(BAD_CLIPS)} of {len(BAD_CLIPS) + 2} failed; details in their lines\n"
    )
    assert [row["file"] for row in answer.rows[1:-1]] == list(BAD_CLIPS), "as they were typed"
    assert answer.rows[0] == answer.rows[-1] == good
    for row, (code, words) in zip(answer.rows[1:-1], BAD_CLIPS.values(), strict=True):
        assert row["code"] == code
        assert words in row["error"]
        assert "label" not in row
        assert "scores" not in row


def test_predict_can_be_quiet_about_failures(phonemo, trained, clips):
    answer = phonemo("predict", "text.wav", "--model", trained.model, "-q")
    assert (answer.code, answer.err, len(answer.rows)) == (1, "", 1)


def test_predict_shows_a_table_to_a_person(phonemo, trained, clips):
    words = ("predict", trained.clip, "text.wav", "--model", trained.model, "--format", "table")
    answer = phonemo(*words)
    assert answer.code == 1
    assert answer.out.startswith(f"{trained.clip}  (0.")
    assert "\ntext.wav\n  error: text.wav: expected wav, flac, mp3" in answer.out


def test_a_file_name_need_not_be_text(phonemo, trained, clips):
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        Path(name).write_bytes(trained.clip.read_bytes())
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    answer = phonemo("predict", name, trained.clip, "--model", trained.model)
    assert answer.code == 0
    assert answer.rows[0]["file"] == name


def test_a_terminal_need_not_be_utf8(trained, clips, monkeypatch):
    for format in ("table", "jsonl"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        words = ("predict", trained.clip, "--model", trained.model, "--format", format)
        assert call(*words) == 0
        assert b"anger" in stream.buffer.getvalue()


def test_predict_into_a_closed_pipe_stops_silently(trained, capfd, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert call("predict", trained.clip, trained.clip, "--model", trained.model) == 1
        monkeypatch.undo()
    assert capfd.readouterr().err == ""


#: What is given as --model, what the one line must say.
BAD_MODELS = [
    ("{home}/nowhere", ("no such model folder",)),
    ("{home}/corpus", ("no config.json",)),
    ("{home}/config.yaml", ("no such model folder",)),
    ("{home}/backbone-wav2vec2-layer", ("'wav2vec2'", "expected a phonemo model")),
    ("{home}/runs/tiny", ("a run folder", "speaker-s1/model")),
]


@pytest.mark.parametrize(("model", "fragments"), BAD_MODELS, ids=[case[0] for case in BAD_MODELS])
def test_a_wrong_model_is_one_clear_line(phonemo, trained, model, fragments):
    answer = phonemo("predict", trained.clip, "--model", model.format(home=trained.home))
    assert_one_line(answer, 1, *fragments)


def test_predict_accepts_a_bundle(phonemo, clips):
    soundfile.write("odd.wav", make_clip(*CLIPS["odd"]), 16_000)
    answer = phonemo("predict", "odd.wav", "text.wav", "--model", BUNDLE)
    assert answer.code == 1
    good, bad = answer.rows
    assert (good["label"], len(good["phonemes"])) == ("anger", 13)
    assert bad["code"] == "unsupported_audio"
    assert answer.err == "phonemo: 1 of 2 failed; details in their lines\n"


def test_predict_chooses_among_some_emotions(phonemo, clips):
    soundfile.write("odd.wav", make_clip(*CLIPS["odd"]), 16_000)
    (full,) = phonemo("predict", "odd.wav", "--model", BUNDLE).rows
    labels = sorted(full["scores"], key=full["scores"].__getitem__)[:2]
    answer = phonemo("predict", "odd.wav", "--model", BUNDLE, "--labels", ",".join(labels))
    (row,) = answer.rows
    assert row["label"] == labels[1]
    assert set(row["scores"]) == set(labels)
    total = sum(full["scores"][name] for name in labels)
    for name in labels:
        assert row["scores"][name] == pytest.approx(full["scores"][name] / total)


def test_predict_takes_other_spellings_of_its_labels(phonemo, clips):
    soundfile.write("odd.wav", make_clip(*CLIPS["odd"]), 16_000)
    answer = phonemo("predict", "odd.wav", "--model", BUNDLE, "--labels", "Angry,NEU")
    assert set(answer.rows[0]["scores"]) == {"anger", "neutral"}
    assert answer.err == "phonemo: --labels: Angry -> anger, NEU -> neutral\n"
    answer = phonemo("predict", "odd.wav", "--model", BUNDLE, "--labels", "angr,neutral")
    assert_one_line(answer, 2, "unknown label 'angr'; did you mean 'anger'? labels: ")


def test_predict_checks_emotions_before_reading_files(phonemo, clips):
    words = ("predict", "nowhere.wav", "--model", BUNDLE, "--labels")
    assert_one_line(phonemo(*words, "anger,joy"), 2, "unknown label 'joy'", "labels: ")
    assert_one_line(phonemo(*words, "anger"), 2, "at least two")
    assert_one_line(phonemo(*words, "anger,,"), 2, "--labels 'anger,,'")


def test_the_packaged_model_is_the_default(phonemo, clips, tmp_path, monkeypatch):
    monkeypatch.setattr("phonemo.runtime.bundle.resources.files", lambda package: tmp_path)
    soundfile.write("odd.wav", make_clip(*CLIPS["odd"]), 16_000)
    assert_one_line(phonemo("predict", "odd.wav"), 1, "--model FOLDER")
    shutil.copytree(BUNDLE, tmp_path / "models" / "phonemo-small")
    answer = phonemo("predict", "odd.wav")
    assert (answer.code, answer.err) == (0, "")
    assert answer.rows[0]["label"] == "anger"


def test_a_broken_bundle_is_one_clear_line(phonemo, clips):
    shutil.copytree(BUNDLE, "broken")
    Path("broken/model.onnx").write_bytes(b"")
    assert_one_line(phonemo("predict", "text.wav", "--model", "broken"), 1, "SHA-256")
    Path("broken/bundle.json").unlink()
    assert_one_line(phonemo("predict", "text.wav", "--model", "broken"), 1, "bundle.json", "copy")


def test_export_writes_a_bundle_that_predict_opens(phonemo, trained, tmp_path):
    bundle = tmp_path / "small"
    words = ("--manifest", trained.manifest, "--licence", "MIT", "--name", "beeps")
    answer = phonemo("export", trained.model, "-o", bundle, *words)
    assert (answer.code, answer.err) == (0, "")
    first, second, third = answer.out.splitlines()
    assert first.startswith(f"{bundle}: beeps, int8, 0.")
    assert second.startswith("  fp32 against torch: logits differ by at most ")
    assert "clips (beeps): scores differ by at most 0." in third
    assert "; UA " in third
    (result,) = phonemo("predict", trained.clip, "--model", bundle).rows
    (expected,) = phonemo("predict", trained.clip, "--model", trained.model).rows
    for name, score in expected["scores"].items():
        assert result["scores"][name] == pytest.approx(score, abs=0.1)


@pytest.mark.parametrize(("model", "fragments"), BAD_MODELS, ids=[case[0] for case in BAD_MODELS])
def test_a_wrong_model_is_not_exported(phonemo, trained, tmp_path, model, fragments):
    words = ("export", model.format(home=trained.home), "-o", tmp_path / "bundle")
    assert_one_line(phonemo(*words), 1, *fragments)
    assert_one_line(
        phonemo("export", trained.model, "-o", trained.home), 1, "a bundle or an empty folder"
    )


def test_standard_output_of_a_process_has_only_results(trained, tmp_path):
    """Outside pytest: with logging and warnings as users have them, and nothing said twice."""
    (tmp_path / "text.wav").write_text("this is text", encoding="utf-8")
    files = (str(trained.clip), str(tmp_path / "text.wav"))
    command = [sys.executable, "-m", "phonemo", "predict", *files, "--model", str(trained.model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert [set(json.loads(line)) >= {"file"} for line in done.stdout.splitlines()] == [True, True]
    assert done.stderr == "phonemo: 1 of 2 failed; details in their lines\n"


def test_the_library_gives_the_same_result_in_python(trained):
    import phonemo

    model = phonemo.load(trained.model)
    result = model.predict(trained.clip)
    assert result == phonemo.predict(trained.clip, trained.model)
    assert isinstance(result, phonemo.Prediction)
    assert result.label == max(result.scores, key=result.scores.__getitem__)
    with pytest.raises(PhonemoError, match="no such model folder"):
        phonemo.load(trained.home / "nowhere")


def test_shrink_halves_a_model_that_predict_opens(phonemo, trained, tmp_path):
    small = tmp_path / "small"
    answer = phonemo("shrink", trained.model, "-o", small)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"{small}: 0.")
    (result,) = phonemo("predict", trained.clip, "--model", small).rows
    (expected,) = phonemo("predict", trained.clip, "--model", trained.model).rows
    for name, score in expected["scores"].items():
        assert result["scores"][name] == pytest.approx(score, abs=0.01)
    assert_one_line(phonemo("shrink", trained.model, "-o", small), 1, "got an existing one")
