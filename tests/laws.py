"""The laws of the architecture, as functions from one module's source to its offences.

An offence is one line: where it stands, what was found, what to do instead.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.source import FLOOR, PACKAGE, Source, dotted, room_of, walk

REPOSITORY = Path(__file__).resolve().parents[1]

LONGEST_FUNCTION = 80
LONGEST_FILE = 500

#: What a room may not import although it lies below: torch stays away from the light programs.
TRAINING = {room for room in FLOOR if room.partition(".")[0] == "train"}
BARRED = {
    "evaluation": {"model"},
    "runtime": {"corpora", "model"},
    "batch": {"corpora", "evaluation", "model", *TRAINING},
    "server": {"corpora", "model", *TRAINING},
}
#: What the entrances may import when they are imported themselves: they stay light.
_LIGHT = {"version", "errors", "labels", "files", "audio", "config", "annotations"}
EAGERLY = {
    "loader": _LIGHT,
    "cli": _LIGHT | {"corpora", "evaluation", "loader"},
    "root": _LIGHT,
}

#: Other people's packages that a room may import when it is imported itself.
_BASE = {"numpy", "pydantic", "soundfile", "soxr", "yaml"}
_SERVING = {"fastapi", "h11", "prometheus_client", "python_multipart", "starlette", "uvicorn"}
_TORCH = {"accelerate", "peft", "safetensors", "torch", "transformers"}
_EAGER_PACKAGES = {
    "integrations": _BASE | {"sklearn"},
    "model": _BASE | _TORCH,
    "server": _BASE | _SERVING,
    "train": _BASE | _TORCH | {"rich"},
    "cli": _BASE | {"click", "rich", "typer"},
    "loader": set[str](),
    "root": set[str](),
}
#: Packages that only these folders may import, lazily too.
ONLY_IN = (
    {name: {"model", "train"} for name in _TORCH}
    | {
        "tensorboard": {"train"},
        "onnx": {"train"},
        "onnxruntime": {"runtime"},
        "fsspec": {"batch"},
        "pyarrow": {"batch", "corpora"},
        "ray": {"runtime", "batch", "train"},
        "huggingface_hub": {"runtime", "integrations"},
    }
    | {name: {"integrations"} for name in ("audformat", "audinterface", "datasets", "lhotse")}
    | {name: {"server"} for name in _SERVING}
    | {name: {"train"} for name in ("mlflow", "trackio", "wandb")}
)
NEVER = {
    *("torchaudio", "torchcodec", "torchvision", "lightning", "pytorch_lightning", "optimum"),
    *("hydra", "omegaconf", "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"),
    "marshal",
}
#: Import name -> name of the distribution, where they differ; click comes with typer, starlette
#: with fastapi, h11 with uvicorn.
DISTRIBUTIONS = {
    "click": "typer",
    "h11": "uvicorn",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}

_EFFECTS = re.compile(
    r"(^|\.)(seed|manual_seed|set_num_threads|set_num_interop_threads|filterwarnings|simplefilter"
    r"|basicConfig|disable_warnings|set_verbosity\w*|use_deterministic_algorithms)$"
    r"|^os\.(environ\.\w+|putenv|chdir)$|^sys\.path\.\w+$"
)
_PRINTS = {"print", "sys.stdout.write", "sys.stderr.write", "rich.print"}

Offences = Iterator[str]


def rooms_import_downwards(source: Source) -> Offences:
    """The import law between rooms; the entrances import heavy rooms inside functions."""
    for one in source.imports:
        if one.top != PACKAGE or one.target == PACKAGE:
            continue
        room = room_of(one.target)
        if not _may_import(source.room, room, one.lazy):
            when = "" if one.lazy else " at module level"
            yield _at(source, one.line, f"{source.room} imports {one.target} ({room}){when}")


def _may_import(room: str, other: str, lazy: bool) -> bool:
    if other == room:
        return True
    if FLOOR[other] >= FLOOR[room] or other in BARRED.get(room, ()):
        return False
    return lazy or room not in EAGERLY or other in EAGERLY[room]


def nobody_imports_the_root(source: Source) -> Offences:
    """The root imports the rooms, so a room that imports the root closes a circle."""
    for one in source.imports:
        if one.target == PACKAGE:
            yield _at(source, one.line, f"import the module of {PACKAGE} that defines it")


def heavy_packages_stay_in_their_rooms(source: Source) -> Offences:
    """Torch and its kin in model and train alone, even inside a function."""
    for one in source.imports:
        if source.folder not in ONLY_IN.get(one.top, {source.folder}):
            rooms = " and ".join(sorted(ONLY_IN[one.top]))
            yield _at(source, one.line, f"{one.top} is imported in {source.room}, not in {rooms}")


def optional_packages_are_lazy(source: Source) -> Offences:
    """What the base install lacks is imported inside the function that needs it."""
    for one in source.imports:
        if not one.lazy and _foreign(one.top) and one.top not in _eager(source):
            yield _at(source, one.line, f"import {one.top} inside the function that needs it")


def _eager(source: Source) -> set[str]:
    return _EAGER_PACKAGES.get(source.folder, _BASE)


def packages_are_declared(source: Source) -> Offences:
    """Every foreign import is a dependency, or in an extra, of pyproject.toml."""
    for one in source.imports:
        if _foreign(one.top) and one.top not in NEVER and _distribution(one.top) not in _declared():
            yield _at(source, one.line, f"{one.top} is not declared in pyproject.toml")


def forbidden_packages_are_absent(source: Source) -> Offences:
    """Pickles, and packages that were decided against."""
    for one in source.imports:
        if one.top in NEVER:
            yield _at(source, one.line, f"{one.top} is never imported")


def files_are_not_unpickled(source: Source) -> Offences:
    """torch.load runs code from the file unless weights_only is True; numpy with allow_pickle."""
    for call in _calls(source):
        keywords = {one.arg: getattr(one.value, "value", None) for one in call.keywords}
        if dotted(call.func) == "torch.load" and keywords.get("weights_only") is not True:
            yield _at(source, call.lineno, "torch.load without weights_only=True")
        if keywords.get("allow_pickle", False) is not False:
            yield _at(source, call.lineno, "allow_pickle is not False")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "torch":
            for alias in node.names:
                if alias.name == "load":
                    yield _at(source, node.lineno, "call it as torch.load, weights_only=True")


def only_commands_print(source: Source) -> Offences:
    """Library code raises or returns; command code prints."""
    if source.room == "cli":
        return
    for call in _calls(source):
        if dotted(call.func) in _PRINTS:
            yield _at(source, call.lineno, f"{dotted(call.func)} in library code")


def importing_has_no_effect(source: Source) -> Offences:
    """No seeds, threads, warning filters, paths or environment set by an import."""
    for node, lazy in walk(source.tree):
        if lazy:
            continue
        if isinstance(node, ast.Call) and _EFFECTS.search(dotted(node.func)):
            yield _at(source, node.lineno, f"{dotted(node.func)} runs when imported")
        if _changes_environment(node):
            yield _at(source, node.lineno, "os.environ is changed when imported")


def functions_fit_a_hand(source: Source) -> Offences:
    """Aim at 10 lines, look twice at 40, never past 80."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield _at(source, node.lineno, f"{node.name} has {lines} lines")


def files_stay_short(source: Source) -> Offences:
    """Near 200 lines, never past 500."""
    lines = len(source.text.splitlines())
    if lines > LONGEST_FILE:
        yield _at(source, lines, f"{lines} lines; split it")


def errors_are_not_swallowed(source: Source) -> Offences:
    """No bare except, and no handler or suppress that silently drops whatever came."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield _at(source, node.lineno, "bare except; name the error")
            if all(_does_nothing(one) for one in node.body):
                yield _at(source, node.lineno, "the error is dropped; handle it or let it pass")
    for call in _calls(source):
        if dotted(call.func).endswith("suppress"):
            for one in call.args:
                if dotted(one) in ("Exception", "BaseException"):
                    yield _at(source, call.lineno, "suppress names the error that it expects")


LAWS: dict[str, Callable[[Source], Offences]] = {
    law.__name__: law
    for law in (
        rooms_import_downwards,
        nobody_imports_the_root,
        heavy_packages_stay_in_their_rooms,
        optional_packages_are_lazy,
        packages_are_declared,
        forbidden_packages_are_absent,
        files_are_not_unpickled,
        only_commands_print,
        importing_has_no_effect,
        functions_fit_a_hand,
        files_stay_short,
        errors_are_not_swallowed,
    )
}


def circle_in(sources: Iterable[Source]) -> list[str]:
    """Modules that import each other in a circle, lazily or not; empty where there is none."""
    known = {one.name: {i.target for i in one.imports} - {one.name, PACKAGE} for one in sources}
    edges = {name: targets & set(known) for name, targets in known.items()}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _at(source: Source, line: int, what: str) -> str:
    return f"{source.name}:{line}: {what}"


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def _does_nothing(statement: ast.stmt) -> bool:
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _changes_environment(node: ast.AST) -> bool:
    changed = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
    return changed and dotted(node.value) == "os.environ"


def _foreign(top: str) -> bool:
    return top != PACKAGE and top not in sys.stdlib_module_names


def _distribution(top: str) -> str:
    return DISTRIBUTIONS.get(top, top.replace("_", "-").lower())


@cache
def _declared() -> frozenset[str]:
    """Names of the distributions in pyproject.toml, the development extras left out."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    groups = [extras[name] for name in extras if name not in ("test", "dev")]
    wanted = [one for group in (project["dependencies"], *groups) for one in group]
    names = [re.match(r"[A-Za-z0-9._-]+", one) for one in wanted]
    return frozenset(re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name)
