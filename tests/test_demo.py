"""examples/demo.py: with nothing beside the clone, and on a corpus of beeps."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from types import ModuleType

import pytest

from phonemo.config import load_config, write_config
from phonemo.errors import CorpusError
from tests.laws import REPOSITORY


@pytest.fixture
def demo() -> ModuleType:
    """The script, freshly loaded."""
    place = REPOSITORY / "examples" / "demo.py"
    specification = importlib.util.spec_from_file_location("demo_of_the_tests", place)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def bare(demo, tmp_path, monkeypatch) -> ModuleType:
    """The script in a clone that has nothing beside it."""
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    demo.CONFIG = REPOSITORY / "configs" / "demo.yaml"
    return demo


def test_without_the_shared_folder_it_is_one_line_and_two(bare, capsys):
    assert bare.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("demo: ../shared/corpora/emodb, ../shared/backbone not found")
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == [], "and nothing was made"


def test_a_clone_without_its_config_is_one_line(bare, capsys):
    bare.CONFIG = Path("configs/demo.yaml")
    assert bare.main([]) == 2
    assert capsys.readouterr() == ("", "demo: configs/demo.yaml: no such config file\n")


def test_help_is_given_before_anything_else(bare, capsys):
    assert bare.main(["--help"]) == 0
    assert "examples/demo.py my.wav" in capsys.readouterr().out


def test_bad_files_are_told_before_minutes_of_training(bare, capsys):
    Path("text.wav").write_text("this is text", encoding="utf-8")
    assert bare.main(["nowhere.wav", "text.wav"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("demo: nowhere.wav: no such file")
    assert second.startswith("demo: text.wav: text found")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "to go on where it stopped"),
        (OSError(28, "No space left on device", "x"), 1, "No space left on device: 'x'"),
        (CorpusError("too few"), 1, "demo: too few\n"),
    ],
)
def test_what_stops_the_demo_is_one_line(demo, capsys, error, status, words):
    def fail(files: list[str]) -> int:
        raise error

    demo.demo = fail
    assert demo.main([]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_the_config_of_the_demo_is_sound_and_trains_for_minutes_not_hours():
    config = load_config(REPOSITORY / "configs" / "demo.yaml")
    assert config.train.strategy == "frozen"
    assert config.protocol.name == "speaker"
    assert len(config.seeds) == 1


# On beeps -----------------------------------------------------------------------------------------

Ready = Callable[[ModuleType], ModuleType]


@pytest.fixture(scope="module")
def beeps(tmp_path_factory) -> Ready:
    """Puts a demo script onto the tiny corpus, whose first run is trained once a module."""
    pytest.importorskip("torch")
    from tests.train.tiny_run import make_config, make_corpus, with_changes

    home = tmp_path_factory.mktemp("demo")
    with redirect_stderr(io.StringIO()):
        config = make_config(home, epochs=1)
    manifest = home / "prepared" / "manifest.jsonl"
    write_config(home / "demo.yaml", with_changes(config, manifest=str(manifest)))

    def prepare(corpus, root, output, **_: object) -> None:
        assert (corpus, Path(output)) == ("emodb", manifest)
        make_corpus(manifest.parent)

    def ready(demo: ModuleType) -> ModuleType:
        demo.CONFIG, demo.CORPUS, demo.prepare = home / "demo.yaml", home / "corpus", prepare
        return demo

    return ready


def test_the_demo_trains_and_answers_for_speakers_it_never_heard(demo, beeps, capsys):
    assert beeps(demo).main([]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "training" in lines[0]
    assert "s1 were never heard in training" in out.replace("Speakers ", "")
    start = lines.index(next(line for line in lines if line.startswith("file")))
    answers = [line.split() for line in lines[start + 1 : start + 7]]
    assert all(one[0].startswith("s1-") for one in answers), "the held-out speaker's clips"
    for name, acted, heard, score, *rest in answers:
        assert acted == name.split("-")[1]
        assert heard in ("anger", "neutral", "sadness")
        assert 0 < float(score.removesuffix("%")) <= 100
        assert ("x" in rest[:1]) == (acted != heard)
    assert "All 6 clips of these speakers: UA " in out
    assert err.count("\n") == 1, "one fold"


def test_the_second_time_it_does_not_train(demo, beeps, capsys, monkeypatch):
    beeps(demo).main([])
    capsys.readouterr()
    monkeypatch.setattr("phonemo.train.runner.run", lambda *_, **__: pytest.fail("it trains"))
    assert demo.main([]) == 0
    out, err = capsys.readouterr()
    assert "training on" not in out
    assert err == ""


def test_it_answers_for_own_files_good_and_bad(demo, beeps, capsys, tmp_path):
    own = beeps(demo).CORPUS / "s2-sadness-0.wav"
    (tmp_path / "text.wav").write_text("this is text", encoding="utf-8")
    assert demo.main([str(own)]) == 0
    good = capsys.readouterr().out
    assert f"{own}  (" in good
    assert "guesses" in good
    assert demo.main([str(own), str(tmp_path / "text.wav")]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert f"{own}  (" in out, "the good neighbour is answered"
    assert f"{tmp_path}/text.wav\n  error: " in out
