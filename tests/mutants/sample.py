"""Which mutants of a module are run, and how sure their share of killed ones is."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

_Z = 1.959964  # 95 %
#: Arguments that check what the code takes for granted, and change nothing where it holds.
_CHECKS = ("frozen", "slots", "strict")
#: Identity and equality are one for None, short strings and small numbers.
_ALIKE = {("Eq", "Is"), ("NotEq", "IsNot"), ("Is", "Eq"), ("IsNot", "NotEq")}
_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}
_BITS = {"RShift", "LShift", "BitOr", "BitAnd", "BitXor"}


class Mutation(NamedTuple):
    """A place in a module, and what is done there: the same in every session."""

    module: str
    start: tuple[int, int]
    end: tuple[int, int]
    operator: str
    occurrence: int


def drawn(mutations: Iterable[Mutation], seed: int) -> list[Mutation]:
    """One mutation for each place, in random order.

    A larger sample thus begins with the smaller one, and an operator with eleven replacements does
    not count eleven times.
    """

    def rank(mutation: Mutation) -> str:
        return hashlib.sha256(f"{seed} {tuple(mutation)}".encode()).hexdigest()

    places: dict[tuple[object, ...], Mutation] = {}
    for mutation in sorted(mutations, key=rank):
        if _says_something(mutation.operator):
            places.setdefault(mutation[:3], mutation)
    return list(places.values())


def _says_something(operator: str) -> bool:
    """Whether a replacement is neither the same nor a TypeError of any float."""
    before, after = operator.rsplit("_", 2)[-2:] if operator.count("_") > 1 else ("", "")
    mixed = {before, after} & _ARITHMETIC and {before, after} & _BITS
    return not (mixed or after == "Invert" or (before, after) in _ALIKE)


def is_same(one: str, other: str) -> bool:
    """Whether two modules do the same: all but annotations and checks of arguments is equal."""
    return _bare(one) == _bare(other)


def wilson(successes: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    if not total:
        return 0.0, 1.0
    share, square = successes / total, _Z**2 / total
    middle = share + square / 2
    half = _Z * sqrt(share * (1 - share) / total + square / (4 * total))
    return (middle - half) / (1 + square), (middle + half) / (1 + square)


class _Bare(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [one for one in node.keywords if one.arg not in _CHECKS]
        return self.generic_visit(node)


def _bare(code: str) -> str:
    try:
        return ast.dump(_Bare().visit(ast.parse(code)))
    except SyntaxError:
        return code
