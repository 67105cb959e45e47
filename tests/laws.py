"""The laws of the architecture: functions from a module's source to its offences.

An offence is one line: its location, the problem, and what to do instead.
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

#: Lower rooms that a room must not import, to keep torch out of the light programs.
TRAINING = {room for room in FLOOR if room.partition(".")[0] == "train"}
BARRED = {
    "evaluation": {"model"},
    "runtime": {"corpora", "model"},
    "batch": {"corpora", "evaluation", "model", *TRAINING},
    "server": {"corpora", "model", *TRAINING},
    "site": {"corpora", "evaluation", "model", *TRAINING},
}
#: Rooms that entry points may import at module level, to keep them light.
_LIGHT = {"version", "errors", "labels", "files", "audio", "config", "annotations"}
EAGERLY = {
    "loader": _LIGHT,
    "cli": _LIGHT | {"corpora", "evaluation", "loader"},
    "root": _LIGHT,
}

#: Third-party packages that a room may import at module level.
_BASE = {"numpy", "pydantic", "soundfile", "soxr", "yaml"}
_SERVING = {"fastapi", "h11", "prometheus_client", "python_multipart", "starlette", "uvicorn"}
_INTEGRATED = (
    *("audformat", "audinterface", "datasets", "lhotse", "livekit", "mcp", "mcp_types", "pipecat"),
)
_TORCH = {"accelerate", "peft", "safetensors", "torch", "transformers"}
_EAGER_PACKAGES = {
    "integrations": _BASE | {"mcp", "mcp_types", "pipecat", "sklearn"},
    "model": _BASE | _TORCH,
    "server": _BASE | _SERVING,
    "train": _BASE | _TORCH | {"rich"},
    "cli": _BASE | {"click", "rich", "typer"},
    "loader": set[str](),
    "root": set[str](),
}
#: Packages that only these folders may import, even lazily.
ONLY_IN = (
    {name: {"model", "train"} for name in _TORCH}
    | {
        "tensorboard": {"train"},
        "onnx": {"train"},
        "onnxruntime": {"runtime"},
        "fsspec": {"batch"},
        "phonemizer": {"corpora"},
        "espeakng_loader": {"corpora"},
        "pyarrow": {"batch", "corpora"},
        "ray": {"runtime", "batch", "train"},
        "huggingface_hub": {"runtime", "integrations"},
    }
    | {name: {"integrations"} for name in _INTEGRATED}
    | {name: {"server"} for name in _SERVING}
    | {name: {"train"} for name in ("mlflow", "trackio", "wandb")}
)
NEVER = {
    *("torchaudio", "torchcodec", "torchvision", "lightning", "pytorch_lightning", "optimum"),
    *("hydra", "omegaconf", "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"),
    "marshal",
}
#: Import name -> distribution name, where they differ; click comes with typer, starlette
#: with fastapi, h11 with uvicorn.
DISTRIBUTIONS = {
    "click": "typer",
    "h11": "uvicorn",
    "livekit": "livekit-agents",
    "mcp_types": "mcp",
    "pipecat": "pipecat-ai",
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
    """Rooms import only lower ones; entry points import heavy rooms inside functions."""
    for imported in source.imports:
        if imported.top != PACKAGE or imported.target == PACKAGE:
            continue
        room = room_of(imported.target)
        if not _may_import(source.room, room, imported.lazy):
            scope = "" if imported.lazy else " at module level"
            yield _at(
                source, imported.line, f"{source.room} imports {imported.target} ({room}){scope}"
            )


def _may_import(room: str, target: str, lazy: bool) -> bool:
    if target == room:
        return True
    if FLOOR[target] >= FLOOR[room] or target in BARRED.get(room, ()):
        return False
    return lazy or room not in EAGERLY or target in EAGERLY[room]


def nobody_imports_the_root(source: Source) -> Offences:
    """The root imports the rooms, so a room that imports the root would create a cycle."""
    for imported in source.imports:
        if imported.target == PACKAGE:
            yield _at(source, imported.line, f"import the module of {PACKAGE} that defines it")


def heavy_packages_stay_in_their_rooms(source: Source) -> Offences:
    """Torch and related packages are imported only in model and train, even lazily."""
    for imported in source.imports:
        if source.folder not in ONLY_IN.get(imported.top, {source.folder}):
            rooms = " and ".join(sorted(ONLY_IN[imported.top]))
            yield _at(
                source,
                imported.line,
                f"{imported.top} is imported in {source.room}, not in {rooms}",
            )


def optional_packages_are_lazy(source: Source) -> Offences:
    """Optional packages are imported inside the function that needs them."""
    for imported in source.imports:
        if not imported.lazy and _foreign(imported.top) and imported.top not in _eager(source):
            yield _at(
                source, imported.line, f"import {imported.top} inside the function that needs it"
            )


def _eager(source: Source) -> set[str]:
    return _EAGER_PACKAGES.get(source.folder, _BASE)


def packages_are_declared(source: Source) -> Offences:
    """Every third-party import is a dependency or in an extra of pyproject.toml."""
    for imported in source.imports:
        if (
            _foreign(imported.top)
            and imported.top not in NEVER
            and _distribution(imported.top) not in _declared()
        ):
            yield _at(source, imported.line, f"{imported.top} is not declared in pyproject.toml")


def forbidden_packages_are_absent(source: Source) -> Offences:
    """Pickle and packages that the project excludes are not imported."""
    for imported in source.imports:
        if imported.top in NEVER:
            yield _at(source, imported.line, f"{imported.top} is never imported")


def files_are_not_unpickled(source: Source) -> Offences:
    """torch.load runs code from the file unless weights_only is True; numpy with allow_pickle."""
    for call in _calls(source):
        keywords = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
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
    """Imports do not set seeds, threads, warning filters, paths or the environment."""
    for node, lazy in walk(source.tree):
        if lazy:
            continue
        if isinstance(node, ast.Call) and _EFFECTS.search(dotted(node.func)):
            yield _at(source, node.lineno, f"{dotted(node.func)} runs when imported")
        if _changes_environment(node):
            yield _at(source, node.lineno, "os.environ is changed when imported")


def functions_fit_a_hand(source: Source) -> Offences:
    """Functions have at most 80 lines (aim for 10, reconsider at 40)."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield _at(source, node.lineno, f"{node.name} has {lines} lines")


def files_stay_short(source: Source) -> Offences:
    """Modules have at most 500 lines (aim for 200)."""
    lines = len(source.text.splitlines())
    if lines > LONGEST_FILE:
        yield _at(source, lines, f"{lines} lines; split it")


def errors_are_not_swallowed(source: Source) -> Offences:
    """No bare except, and no handler or suppress that silently drops any exception."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield _at(source, node.lineno, "bare except; name the error")
            if all(_does_nothing(statement) for statement in node.body):
                yield _at(source, node.lineno, "the error is dropped; handle it or let it pass")
    for call in _calls(source):
        if dotted(call.func).endswith("suppress"):
            for argument in call.args:
                if dotted(argument) in ("Exception", "BaseException"):
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
    """Modules in an import cycle, lazy imports included; empty if there is none."""
    graph = {
        source.name: {i.target for i in source.imports} - {source.name, PACKAGE}
        for source in sources
    }
    edges = {name: targets & set(graph) for name, targets in graph.items()}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _at(source: Source, line: int, message: str) -> str:
    return f"{source.name}:{line}: {message}"


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
    """Names of the distributions in pyproject.toml, without the development extras."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    groups = [extras[name] for name in extras if name not in ("test", "dev")]
    requirements = [
        requirement for group in (project["dependencies"], *groups) for requirement in group
    ]
    names = [re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements]
    return frozenset(re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name)
