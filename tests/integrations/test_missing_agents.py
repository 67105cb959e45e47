"""What voice agents and ``phonemo mcp`` say where their packages are missing."""

from __future__ import annotations

import importlib
import sys

import pytest

from phonemo.cli.programs.mcp import mcp
from phonemo.errors import MissingExtraError


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("phonemo.integrations.pipecat", "pipecat", "pipecat"),
        ("phonemo.integrations.mcp_tools.tool_server", "mcp", "mcp"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, package, extra):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingExtraError, match=rf"pip install 'phonemo\[{extra}\]'"):
        importlib.import_module(module)


def test_the_command_names_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"^phonemo mcp needs .*'phonemo\[mcp\]'$"):
        mcp()


def test_livekit_needs_no_package_to_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "livekit", None)
    monkeypatch.delitem(sys.modules, "phonemo.integrations.livekit", raising=False)
    assert importlib.import_module("phonemo.integrations.livekit").TurnEmotions
