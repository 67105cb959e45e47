"""The architecture's laws, checked on the real source and on planted offences."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.laws import LAWS, LONGEST_FILE, LONGEST_FUNCTION, REPOSITORY, circle_in
from tests.source import FLOOR, Source, read_package

SOURCES = read_package(REPOSITORY / "src" / "phonemo")
MODULES = frozenset(
    f"phonemo{name}"
    for name in (
        *("", ".audio", ".audio.decode", ".batch.run", ".cli.app", ".config", ".corpora"),
        *(".corpora.manifest", ".corpora.readers.emodb", ".errors", ".evaluation.report"),
        *(".integrations.lhotse", ".labels", ".loader", ".model", ".model.network"),
        *(".runtime", ".runtime.recognizer", ".server.app", ".train", ".train.trainer"),
        *(".train.experiments.run", ".train.export.export"),
    )
)
AUDIO, READER = "phonemo.audio.decode", "phonemo.corpora.readers.emodb"
NETWORK = "phonemo.model.network"
RECOGNIZER, TRAINER, APP = "phonemo.runtime.recognizer", "phonemo.train.trainer", "phonemo.cli.main"
REPORT = "phonemo.evaluation.report"
DOWNWARDS, ROOT = "rooms_import_downwards", "nobody_imports_the_root"
HEAVY, LAZY = "heavy_packages_stay_in_their_rooms", "optional_packages_are_lazy"
EFFECT, SWALLOWED = "importing_has_no_effect", "errors_are_not_swallowed"

#: Law, module, text: the law must report each as an offence.
PLANTED = [
    (DOWNWARDS, AUDIO, "from phonemo.corpora import manifest"),
    (DOWNWARDS, AUDIO, "def f():\n    import phonemo.model.network"),
    (DOWNWARDS, AUDIO, "from ..model import network"),
    (DOWNWARDS, AUDIO, "from phonemo import config"),
    (DOWNWARDS, AUDIO, "from phonemo.loader import load_model"),
    (DOWNWARDS, "phonemo.errors", "def f():\n    from phonemo.labels import LabelSet"),
    (DOWNWARDS, READER, "from ...runtime.recognizer import Recognizer"),
    (DOWNWARDS, READER, "from phonemo.train import trainer"),
    (DOWNWARDS, NETWORK, "from phonemo.corpora.readers.emodb import CARD"),
    (DOWNWARDS, NETWORK, "from phonemo import corpora"),
    (DOWNWARDS, NETWORK, "from ..train.trainer import fit"),
    (DOWNWARDS, REPORT, "def f():\n    import phonemo.model.network"),
    (DOWNWARDS, RECOGNIZER, "import phonemo.model.network as n"),
    (DOWNWARDS, RECOGNIZER, "def f():\n    from phonemo.corpora import manifest"),
    (
        DOWNWARDS,
        RECOGNIZER,
        "import typing\nif typing.TYPE_CHECKING:\n    from phonemo.train import trainer",
    ),
    (
        DOWNWARDS,
        RECOGNIZER,
        "import importlib\ndef f():\n    importlib.import_module('phonemo.model.network')",
    ),
    (DOWNWARDS, TRAINER, "from phonemo.cli.main import main"),
    (DOWNWARDS, TRAINER, "def f():\n    from phonemo.train.experiments.training_run import run"),
    (DOWNWARDS, "phonemo.train.export.export", "from phonemo.train.experiments import run"),
    (DOWNWARDS, "phonemo.loader", "from phonemo.runtime.recognizer import Recognizer"),
    (DOWNWARDS, "phonemo.loader", "def f():\n    import phonemo.integrations.lhotse"),
    (DOWNWARDS, "phonemo.batch.run", "def f():\n    from phonemo.server.app import create_app"),
    (DOWNWARDS, "phonemo.batch.run", "def f():\n    from phonemo.train import trainer"),
    (DOWNWARDS, "phonemo.server.app", "from phonemo.corpora.manifest import Manifest"),
    (DOWNWARDS, APP, "from phonemo.train import trainer"),
    (DOWNWARDS, APP, "import phonemo.model"),
    (DOWNWARDS, APP, "def f(x=__import__('phonemo.model')): ..."),
    (DOWNWARDS, "phonemo", "from phonemo.runtime.recognizer import Recognizer"),
    (ROOT, AUDIO, "from phonemo import __version__"),
    (ROOT, READER, "from ... import __version__"),
    (ROOT, TRAINER, "def f():\n    from phonemo import load_model"),
    (ROOT, APP, "import phonemo"),
    (ROOT, APP, "from phonemo import *"),
    (HEAVY, AUDIO, "def f():\n    import torch.nn"),
    (HEAVY, AUDIO, "def f():\n    import onnxruntime"),
    (HEAVY, APP, "def f():\n    import torch"),
    (HEAVY, READER, "import safetensors.numpy"),
    (HEAVY, RECOGNIZER, "def f():\n    from transformers import pipeline"),
    (HEAVY, REPORT, "def f():\n    import peft"),
    (HEAVY, "phonemo.cli.main", "def f():\n    import fastapi"),
    (LAZY, REPORT, "from matplotlib.figure import Figure"),
    (LAZY, REPORT, "try:\n    import scipy\nexcept E:\n    raise"),
    (LAZY, REPORT, "class A:\n    import matplotlib"),
    (LAZY, TRAINER, "import sklearn.metrics"),
    (LAZY, READER, "import gruut"),
    (LAZY, AUDIO, "import typer"),
    (LAZY, "phonemo", "import numpy"),
    ("packages_are_declared", TRAINER, "def f():\n    import polars"),
    ("packages_are_declared", AUDIO, "def f():\n    import pytest"),
    ("forbidden_packages_are_absent", AUDIO, "import pickle"),
    ("forbidden_packages_are_absent", NETWORK, "def f():\n    import torchaudio"),
    ("files_are_not_unpickled", NETWORK, "import torch\nx = torch.load('a')"),
    ("files_are_not_unpickled", NETWORK, "torch.load('a', weights_only=False)"),
    ("files_are_not_unpickled", NETWORK, "torch.load('a', weights_only=flag)"),
    ("files_are_not_unpickled", NETWORK, "from torch import load"),
    ("files_are_not_unpickled", AUDIO, "np.load('a', allow_pickle=True)"),
    ("only_commands_print", TRAINER, "def f():\n    print('epoch')"),
    ("only_commands_print", REPORT, "import sys\nsys.stderr.write('x')"),
    (EFFECT, "phonemo.model", "import torch\ntorch.set_num_threads(1)"),
    (EFFECT, AUDIO, "import os\nos.environ['A'] = '1'"),
    (EFFECT, AUDIO, "os.environ.setdefault('A', '1')"),
    (EFFECT, AUDIO, "class A:\n    warnings.simplefilter('ignore')"),
    (EFFECT, AUDIO, "if True:\n    np.random.seed(0)"),
    (EFFECT, APP, "logging.basicConfig()"),
    ("functions_fit_a_hand", AUDIO, "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    (
        "functions_fit_a_hand",
        AUDIO,
        "class A:\n    async def f():\n" + "        x = 1\n" * LONGEST_FUNCTION,
    ),
    ("files_stay_short", AUDIO, "x = 1\n" * (LONGEST_FILE + 1)),
    (SWALLOWED, AUDIO, "try:\n    f()\nexcept:\n    raise"),
    (SWALLOWED, AUDIO, "try:\n    f()\nexcept OSError:\n    pass"),
    (SWALLOWED, AUDIO, "try:\n    f()\nexcept OSError:\n    ..."),
    (SWALLOWED, AUDIO, "with suppress(Exception):\n    f()"),
]

#: Module, text: no law may report an offence.
LAWFUL = [
    ("phonemo", "def load():\n    from phonemo.runtime.recognizer import Recognizer"),
    ("phonemo", "from phonemo.config import RunConfig"),
    (APP, "from phonemo.loader import load_model"),
    (APP, "import typer\ndef f():\n    from phonemo.train import trainer\n    print(1)"),
    ("phonemo.loader", "def f():\n    from phonemo.train.trainer import fit"),
    ("phonemo.config", "from phonemo import audio\nimport numpy as np\nimport soundfile"),
    (AUDIO, "from ..errors import AudioError\nfrom . import sources"),
    ("phonemo.corpora", "from . import manifest\nfrom .readers.emodb import CARD"),
    (READER, "from phonemo import audio\nfrom ... import config"),
    (READER, "def f():\n    import gruut\n    import pypinyin"),
    (REPORT, "def f():\n    from matplotlib.figure import Figure"),
    (REPORT, "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
    (NETWORK, "import torch\nx = torch.load('a', weights_only=True)"),
    (TRAINER, "from phonemo.runtime import recognizer\nfrom phonemo import model"),
    (TRAINER, "import torch\ndef f():\n    torch.manual_seed(1)"),
    ("phonemo.train.experiments.training_run", "from phonemo.train.export.export import export"),
    (AUDIO, "def f():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1)),
    (AUDIO, "x = 1\n" * LONGEST_FILE),
    (AUDIO, "try:\n    f()\nexcept OSError as error:\n    raise E from error"),
    (AUDIO, "with suppress(FileNotFoundError):\n    f()"),
]


PACKAGES = ("phonemo", "phonemo.audio", "phonemo.corpora", "phonemo.model", "phonemo.train")
#: In the root, and in any folder.
MOST_IN_ROOT, MOST_IN_FOLDER = 8, 14


def planted(module: str, text: str) -> Source:
    return Source(module, text, MODULES, is_package=module in PACKAGES)


@pytest.mark.parametrize("law", LAWS)
def test_the_source_keeps_the_law(law):
    offences = [offence for source in SOURCES for offence in LAWS[law](source)]
    assert not offences, "\n" + "\n".join(offences)


@pytest.mark.parametrize(("law", "module", "text"), PLANTED)
def test_the_law_finds_the_planted_offence(law, module, text):
    assert list(LAWS[law](planted(module, text)))


@pytest.mark.parametrize(("module", "text"), LAWFUL)
def test_no_law_rejects_valid_source(module, text):
    assert [offence for law in LAWS.values() for offence in law(planted(module, text))] == []


def test_every_law_is_proved_on_an_offence():
    assert {law for law, _, _ in PLANTED} == set(LAWS)


def test_no_modules_import_each_other_in_a_circle():
    assert circle_in(SOURCES) == []


def test_circles_are_found():
    audio = planted("phonemo.audio", "from phonemo.config import RunConfig")
    config = planted("phonemo.config", "from phonemo import audio")
    lazy = planted("phonemo.config", "def f():\n    from phonemo import audio")
    assert set(circle_in([audio, config])) == {"phonemo.audio", "phonemo.config"}
    assert set(circle_in([audio, lazy])) == {"phonemo.audio", "phonemo.config"}, "lazily too"
    assert circle_in([audio, planted("phonemo.config", "import phonemo.labels")]) == []


def test_the_source_reader_finds_every_room():
    names = {source.name for source in SOURCES}
    assert {"phonemo", "phonemo.config", "phonemo.corpora.manifest", "phonemo.model"} <= names
    assert {source.room for source in SOURCES} == set(FLOOR), "no room is empty or unknown"


def test_an_offence_has_its_location():
    (offence,) = LAWS["only_commands_print"](planted(AUDIO, "x = 1\nprint(x)"))
    assert offence == f"{AUDIO}:2: print in library code"


def test_rooms_have_few_files():
    """A folder with too many files is divided before another one is added."""
    package = REPOSITORY / "src" / "phonemo"
    counts = Counter(path.parent for path in package.rglob("*.py") if path.name != "__init__.py")
    # __init__.py is one of the root's eight
    assert counts.pop(package) < MOST_IN_ROOT
    assert max(counts.values()) <= MOST_IN_FOLDER
