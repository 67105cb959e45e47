"""Parse Python source for the architecture's laws, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "phonemo"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
#: The rooms from the ground up: folders, and the modules beside them. A room imports from lower
#: floors only, lazily or not; rooms of one floor do not import each other.
FLOORS = (
    ("version", "errors"),
    ("labels", "files"),
    ("tables",),
    ("audio",),
    ("config", "annotations"),
    ("corpora", "model"),
    ("evaluation",),
    ("runtime",),
    ("train",),
    ("train.export", "train.pretrain"),
    ("train.experiments",),
    ("train.transfer",),
    ("train.dimensions",),
    ("loader",),
    ("integrations",),
    ("batch", "server", "site"),
    ("cli",),
    ("root", "__main__"),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}


@dataclass(frozen=True)
class Import:
    """One imported module; lazy means inside a function or for type checkers only."""

    target: str
    line: int
    lazy: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class Source:
    """One module's text; modules are the dotted names of the whole package."""

    name: str
    text: str
    modules: frozenset[str]
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    @property
    def room(self) -> str:
        return room_of(self.name)

    @property
    def folder(self) -> str:
        """The room, or its parent room."""
        return self.room.partition(".")[0]

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(
            Import(target, node.lineno, lazy)
            for node, lazy in walk(self.tree)
            for target in self._targets(node)
        )

    def _targets(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = self._absolute(node)
            names = [f"{base}.{alias.name}" for alias in node.names]
            return [name if name in self.modules else base for name in names]
        if isinstance(node, ast.Call) and dotted(node.func) in DYNAMIC:
            return [
                argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)
            ]
        return []

    def _absolute(self, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


DYNAMIC = ("import_module", "importlib.import_module", "__import__")


def room_of(module: str) -> str:
    """The room of a module; modules outside a room belong to the root."""
    parts = module.split(".")[1:]
    for length in (2, 1):
        if len(parts) >= length and ".".join(parts[:length]) in FLOOR:
            return ".".join(parts[:length])
    return "root"


def walk(tree: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node, and whether it is evaluated lazily or only by type checkers."""
    for child in ast.iter_child_nodes(tree):
        is_lazy = lazy or (_for_types(tree) and child in getattr(tree, "body", ()))
        yield child, is_lazy
        if isinstance(child, FUNCTIONS):
            yield from _walk_function(child, is_lazy)
        else:
            yield from walk(child, is_lazy)


def _walk_function(function: ast.AST, lazy: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Only the body is lazy: decorators and defaults run when the module is imported."""
    body = function.body if isinstance(function.body, list) else [function.body]
    for child in ast.iter_child_nodes(function):
        inside = lazy or child in body
        yield child, inside
        yield from walk(child, inside)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING")


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a chain of names; the empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def read_package(folder: Path) -> tuple[Source, ...]:
    """The sources of every module below the package's folder."""
    paths = {_module_name(path, folder): path for path in sorted(folder.rglob("*.py"))}
    modules = frozenset(paths)
    return tuple(
        Source(name, path.read_text(encoding="utf-8"), modules, path.name == "__init__.py")
        for name, path in paths.items()
    )


def _module_name(path: Path, folder: Path) -> str:
    parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
