"""The progress that phonemo serve prints while it warms up."""

from __future__ import annotations

import io

from phonemo.cli.programs.start_progress import StartProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream, seconds):
    """What a start of so many seconds writes, with ten reports a second."""
    progress = StartProgress(stream)
    for tenth in range(seconds * 10 + 1):
        progress(tenth / 10, "waiting for decoders")
    progress.finish()
    return stream.getvalue()


def test_a_fast_start_prints_nothing():
    assert shown(io.StringIO(), 4) == ""
    assert shown(Terminal(), 4) == ""


def test_without_a_terminal_there_are_few_plain_lines():
    lines = shown(io.StringIO(), 600).splitlines()
    assert lines[:3] == [
        f"phonemo: warming up, {seconds} s: waiting for decoders" for seconds in (5, 10, 20)
    ]
    assert len(lines) < 16


def test_a_terminal_has_one_line_that_changes_and_is_removed():
    text = shown(Terminal(), 12)
    assert "\n" not in text
    assert text.count("warming up") == 8
    assert "12 s: waiting for decoders" in text
    assert text.endswith("\r\x1b[K")
