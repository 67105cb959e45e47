"""The whole examination, section by section; a section that fails becomes a problem itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from phonemo.errors import PhonemoError
from phonemo.runtime.checks.findings import Examination, Finding, Section
from phonemo.runtime.device import parse_device

#: Section -> its module and function, imported one by one: a broken package spoils one section.
_CHECKS = {
    "versions": ("machine", "versions"),
    "machine": ("machine", "machine"),
    "devices": ("machine", "devices"),
    "packages": ("packages", "required"),
    "extras": ("packages", "extras"),
    "formats": ("formats_read", "formats"),
    "folders": ("models_found", "folders"),
    "models": ("models_found", "models"),
}


def examine(device: str = "cpu") -> Examination:
    """Examine the installation and the machine; takes about a second.

    Args:
        device: where the self-test runs, as for ``phonemo.load``.

    Raises:
        UsageError: an unknown device.
    """
    device = parse_device(device)
    sections = [_run(name, _function(*place)) for name, place in _CHECKS.items()]
    return Examination((*sections, _run("self-test", lambda: _self_test(device))))


def _function(module: str, name: str) -> Callable[[], Section]:
    def call() -> Section:
        section: Section = getattr(import_module(f"phonemo.runtime.checks.{module}"), name)()
        return section

    return call


def _self_test(device: str) -> Section:
    from phonemo.runtime.checks.self_test import self_test

    return self_test(device)


def _run(name: str, check: Callable[[], Section]) -> Section:
    try:
        return check()
    except (PhonemoError, ImportError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        problem = f"{type(error).__name__}: {reason}; run: pip install --force-reinstall phonemo"
        return Section(name, {name: Finding("failed", problem)})
