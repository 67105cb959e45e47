"""The import law and the house rules, kept on the real source and proved on planted offences."""

from __future__ import annotations

import pytest

from tests.laws import LAWS, LONGEST_FILE, LONGEST_FUNCTION, REPOSITORY, circle_in
from tests.source import Source, read_package

SOURCES = read_package(REPOSITORY / "src" / "phonemo")
MODULES = frozenset(
    {
        *("phonemo", "phonemo.audio", "phonemo.cli", "phonemo.config", "phonemo.corpora"),
        *("phonemo.corpora.emodb", "phonemo.model", "phonemo.model.network", "phonemo.report"),
        *("phonemo.runtime", "phonemo.runtime.engine", "phonemo.train", "phonemo.train.trainer"),
        "phonemo.opening",
    }
)

#: Law, module, text: each must be called an offence by this law.
PLANTED = [
    ("rooms_import_downwards", "phonemo.audio", "from phonemo.corpora import emodb"),
    ("rooms_import_downwards", "phonemo.audio", "def f():\n    import phonemo.model.network"),
    ("rooms_import_downwards", "phonemo.audio", "from .model import network"),
    ("rooms_import_downwards", "phonemo.audio", "from phonemo import cli"),
    ("rooms_import_downwards", "phonemo.corpora.emodb", "from ..runtime.engine import Recognizer"),
    ("rooms_import_downwards", "phonemo.corpora.emodb", "from phonemo.train import trainer"),
    ("rooms_import_downwards", "phonemo.model.network", "from phonemo.corpora.emodb import CARD"),
    ("rooms_import_downwards", "phonemo.model.network", "from phonemo import corpora"),
    ("rooms_import_downwards", "phonemo.model.network", "from ..train.trainer import fit"),
    ("rooms_import_downwards", "phonemo.runtime.engine", "import phonemo.model.network as n"),
    (
        "rooms_import_downwards",
        "phonemo.runtime.engine",
        "import typing\nif typing.TYPE_CHECKING:\n    from phonemo.train import trainer",
    ),
    (
        "rooms_import_downwards",
        "phonemo.runtime.engine",
        "import importlib\ndef f():\n    importlib.import_module('phonemo.model.network')",
    ),
    ("rooms_import_downwards", "phonemo.train.trainer", "from phonemo.cli import main"),
    ("rooms_import_downwards", "phonemo.cli", "from phonemo.train import trainer"),
    ("rooms_import_downwards", "phonemo.cli", "import phonemo.model"),
    ("rooms_import_downwards", "phonemo.cli", "def f(x=__import__('phonemo.model')): ..."),
    ("rooms_import_downwards", "phonemo", "from phonemo.runtime.engine import Recognizer"),
    ("rooms_import_downwards", "phonemo.audio", "from phonemo.opening import open_model"),
    ("rooms_import_downwards", "phonemo.opening", "from phonemo.runtime.engine import Recognizer"),
    ("nobody_imports_the_root", "phonemo.audio", "from phonemo import __version__"),
    ("nobody_imports_the_root", "phonemo.corpora.emodb", "from .. import __version__"),
    ("nobody_imports_the_root", "phonemo.train.trainer", "def f():\n    from phonemo import load"),
    ("nobody_imports_the_root", "phonemo.cli", "import phonemo"),
    ("nobody_imports_the_root", "phonemo.cli", "from phonemo import *"),
    ("heavy_packages_stay_in_their_rooms", "phonemo.audio", "def f():\n    import torch.nn"),
    ("heavy_packages_stay_in_their_rooms", "phonemo.cli", "def f():\n    import torch"),
    ("heavy_packages_stay_in_their_rooms", "phonemo.corpora.emodb", "import safetensors.numpy"),
    (
        "heavy_packages_stay_in_their_rooms",
        "phonemo.runtime.engine",
        "def f():\n    from transformers import pipeline",
    ),
    ("heavy_packages_stay_in_their_rooms", "phonemo.report", "def f():\n    import peft"),
    ("heavy_packages_stay_in_their_rooms", "phonemo.audio", "def f():\n    import onnxruntime"),
    ("optional_packages_are_lazy", "phonemo.report", "from matplotlib.figure import Figure"),
    ("optional_packages_are_lazy", "phonemo.train.trainer", "import sklearn.metrics"),
    ("optional_packages_are_lazy", "phonemo.corpora.emodb", "import gruut"),
    ("optional_packages_are_lazy", "phonemo.audio", "import typer"),
    (
        "optional_packages_are_lazy",
        "phonemo.report",
        "try:\n    import scipy\nexcept E:\n    raise",
    ),
    ("optional_packages_are_lazy", "phonemo", "import numpy"),
    ("optional_packages_are_lazy", "phonemo.report", "class A:\n    import matplotlib"),
    ("packages_are_declared", "phonemo.train.trainer", "def f():\n    import polars"),
    ("packages_are_declared", "phonemo.audio", "def f():\n    import pytest"),
    ("forbidden_packages_are_absent", "phonemo.audio", "import pickle"),
    ("forbidden_packages_are_absent", "phonemo.model.network", "def f():\n    import torchaudio"),
    ("files_are_not_unpickled", "phonemo.model.network", "import torch\nx = torch.load('a')"),
    ("files_are_not_unpickled", "phonemo.model.network", "torch.load('a', weights_only=False)"),
    ("files_are_not_unpickled", "phonemo.model.network", "torch.load('a', weights_only=flag)"),
    ("files_are_not_unpickled", "phonemo.model.network", "from torch import load"),
    ("files_are_not_unpickled", "phonemo.audio", "np.load('a', allow_pickle=True)"),
    ("only_commands_print", "phonemo.train.trainer", "def f():\n    print('epoch')"),
    ("only_commands_print", "phonemo.report", "import sys\nsys.stderr.write('x')"),
    ("importing_has_no_effect", "phonemo.model", "import torch\ntorch.set_num_threads(1)"),
    ("importing_has_no_effect", "phonemo.audio", "import os\nos.environ['A'] = '1'"),
    ("importing_has_no_effect", "phonemo.audio", "os.environ.setdefault('A', '1')"),
    ("importing_has_no_effect", "phonemo.audio", "class A:\n    warnings.simplefilter('ignore')"),
    ("importing_has_no_effect", "phonemo.audio", "if True:\n    np.random.seed(0)"),
    ("importing_has_no_effect", "phonemo.cli", "logging.basicConfig()"),
    ("functions_fit_a_hand", "phonemo.audio", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    (
        "functions_fit_a_hand",
        "phonemo.audio",
        "class A:\n    async def f():\n" + "        x = 1\n" * LONGEST_FUNCTION,
    ),
    ("files_stay_short", "phonemo.audio", "x = 1\n" * (LONGEST_FILE + 1)),
    ("errors_are_not_swallowed", "phonemo.audio", "try:\n    f()\nexcept:\n    raise"),
    ("errors_are_not_swallowed", "phonemo.audio", "try:\n    f()\nexcept OSError:\n    pass"),
    ("errors_are_not_swallowed", "phonemo.audio", "try:\n    f()\nexcept OSError:\n    ..."),
    ("errors_are_not_swallowed", "phonemo.audio", "with suppress(Exception):\n    f()"),
]

#: Module, text: no law may object.
LAWFUL = [
    ("phonemo", "def load():\n    from phonemo.runtime.engine import Recognizer"),
    ("phonemo", "from phonemo.config import RunConfig"),
    ("phonemo.cli", "from phonemo.opening import open_model"),
    ("phonemo.opening", "def f():\n    from phonemo.train.trainer import fit"),
    ("phonemo.audio", "from phonemo import config\nimport numpy as np\nimport soundfile"),
    ("phonemo.audio", "from .config import RunConfig"),
    ("phonemo.corpora", "from . import emodb\nfrom .emodb import CARD"),
    ("phonemo.corpora.emodb", "from phonemo import audio\nfrom .. import config"),
    ("phonemo.corpora.emodb", "def f():\n    import gruut\n    import pypinyin"),
    ("phonemo.report", "def f():\n    from matplotlib.figure import Figure"),
    ("phonemo.report", "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
    ("phonemo.model.network", "import torch\nx = torch.load('a', weights_only=True)"),
    ("phonemo.train.trainer", "from phonemo.runtime import engine\nfrom phonemo import model"),
    ("phonemo.train.trainer", "import torch\ndef f():\n    torch.manual_seed(1)"),
    ("phonemo.cli", "import typer\ndef f():\n    from phonemo.train import trainer\n    print(1)"),
    ("phonemo.audio", "def f():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1)),
    ("phonemo.audio", "x = 1\n" * LONGEST_FILE),
    ("phonemo.audio", "try:\n    f()\nexcept OSError as error:\n    raise E from error"),
    ("phonemo.audio", "with suppress(FileNotFoundError):\n    f()"),
]


def planted(module: str, text: str) -> Source:
    return Source(module, text, MODULES, is_package=module in ("phonemo", "phonemo.corpora"))


@pytest.mark.parametrize("law", LAWS)
def test_the_source_keeps_the_law(law):
    offences = [one for source in SOURCES for one in LAWS[law](source)]
    assert not offences, "\n" + "\n".join(offences)


@pytest.mark.parametrize(("law", "module", "text"), PLANTED)
def test_the_law_finds_the_planted_offence(law, module, text):
    assert list(LAWS[law](planted(module, text)))


@pytest.mark.parametrize(("module", "text"), LAWFUL)
def test_no_law_objects_to_lawful_source(module, text):
    assert [one for law in LAWS.values() for one in law(planted(module, text))] == []


def test_every_law_is_proved_on_an_offence():
    assert {law for law, _, _ in PLANTED} == set(LAWS)


def test_no_modules_import_each_other_in_a_circle():
    assert circle_in(SOURCES) == []


def test_circles_are_found():
    audio = planted("phonemo.audio", "from phonemo.config import RunConfig")
    config = planted("phonemo.config", "from phonemo import audio")
    later = planted("phonemo.config", "def f():\n    from phonemo import audio")
    assert set(circle_in([audio, config])) == {"phonemo.audio", "phonemo.config"}
    assert circle_in([audio, later]) == []


def test_the_reader_sees_every_room():
    names = {source.name for source in SOURCES}
    assert {"phonemo", "phonemo.config", "phonemo.corpora.manifest", "phonemo.model"} <= names
    assert {"root", "ground", "corpora", "model"} <= {source.room for source in SOURCES}


def test_an_offence_says_where():
    (offence,) = LAWS["only_commands_print"](planted("phonemo.audio", "x = 1\nprint(x)"))
    assert offence == "phonemo.audio:2: print in library code"
