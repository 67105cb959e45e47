"""Required and optional packages: which are missing or too old, by the package's own metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata

from phonemo.runtime.checks.findings import Finding, Section
from phonemo.runtime.checks.machine import version_of

_FORM = re.compile(r"(?P<name>[\w.-]+)\s*(\[(?P<extras>[^]]*)\])?\s*\(?(?P<bounds>[^;)]*)")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w.-]+)['"]""")
_BOUND = re.compile(r"(>=|<)\s*([\d.]+)")
#: Distributions that replace another one.
_REPLACED_BY = {"onnxruntime": ("onnxruntime-gpu",)}
_MISSING = "missing: "
#: Extras for work on phonemo itself.
_OURS = ("dev", "docs", "test")


def required() -> Section:
    """The packages that every use of phonemo needs."""
    faults = _faults(requirements("phonemo").get("", ()))
    if not faults:
        return Section("packages", {"required": Finding("all installed")})
    problem = f"{_joined(faults)}; run: pip install --upgrade phonemo"
    return Section("packages", {"required": Finding("incomplete", problem)})


def extras() -> Section:
    """Every extra: installed, or which of its packages is missing, and how to install it."""
    declared = requirements("phonemo")
    names = sorted(name for name in declared if name and name not in _OURS)
    return Section("extras", {name: _extra(name, declared) for name in names})


def requirements(package: str) -> dict[str, tuple[str, ...]]:
    """Requirements of an installed package by extra, "" for none; empty if it is not installed."""
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        match = _EXTRA.search(marker)
        extra = match.group(1) if match else ""
        found[extra] = (*found.get(extra, ()), requirement.strip())
    return found


def _extra(name: str, declared: Mapping[str, Sequence[str]]) -> Finding:
    faults = _faults(_flat(name, declared, frozenset()))
    if not faults:
        return Finding("installed")
    return Finding(f"no, {_joined(faults)}", hint=f"pip install 'phonemo[{name}]'")


def _flat(name: str, declared: Mapping[str, Sequence[str]], above: frozenset[str]) -> Iterator[str]:
    """The requirements of an extra, with those of the extras that it names."""
    for requirement in declared.get(name, ()):
        match = _FORM.match(requirement)
        if match and match["name"] == "phonemo":
            for inner in (match["extras"] or "").split(","):
                if inner.strip() not in above | {name}:
                    yield from _flat(inner.strip(), declared, above | {name})
        else:
            yield requirement


def _faults(needed: Sequence[str] | Iterator[str]) -> list[str]:
    return [fault for requirement in needed if (fault := _fault(requirement))]


def _fault(requirement: str) -> str | None:
    match = _FORM.match(requirement)
    if match is None:
        return None
    name = match["name"]
    version = next(filter(None, map(version_of, (name, *_REPLACED_BY.get(name, ())))), None)
    if version is None:
        return f"{_MISSING}{name}"
    return None if _fits(version, match["bounds"]) else f"{name} {version} is not {match['bounds']}"


def _joined(faults: Sequence[str]) -> str:
    """Faults as one text, the missing packages together."""
    missing = [fault.removeprefix(_MISSING) for fault in faults if fault.startswith(_MISSING)]
    others = [fault for fault in faults if not fault.startswith(_MISSING)]
    return "; ".join([*others, *([f"{_MISSING}{', '.join(missing)}"] if missing else [])])


def _fits(version: str, bounds: str) -> bool:
    for sign, bound in _BOUND.findall(bounds):
        if (_numbers(version) < _numbers(bound)) == (sign == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without trailing zeros: 1.10.0rc1 -> (1, 10)."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else [0]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
