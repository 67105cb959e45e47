"""What phonemo serve prints while it warms up on a slow machine."""

from __future__ import annotations

from typing import TextIO

#: A start that is faster prints nothing.
_QUIET_SECONDS = 5.0
#: Without a terminal, each line comes after twice the time of the last one, or after a minute.
_LONGEST_PAUSE_SECONDS = 60.0
_CLEAR = "\r\x1b[K"


class StartProgress:
    """Shows the progress of a start: one changing line on a terminal, else a few plain lines.

    Args:
        stream: where it is shown; standard error, as a rule.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._next_seconds = _QUIET_SECONDS
        self._shown = False

    def __call__(self, seconds: float, waits_for: str) -> None:
        """Show how long the start has lasted and what it waits for; called often."""
        if seconds < self._next_seconds:
            return
        line = f"phonemo: warming up, {seconds:.0f} s: {waits_for}"
        if self._is_terminal:
            self._next_seconds = seconds + 1
            self._write(f"{_CLEAR}{line}")
        else:
            self._next_seconds = seconds + min(seconds, _LONGEST_PAUSE_SECONDS)
            self._write(f"{line}\n")
        self._shown = True

    def finish(self) -> None:
        """Remove the changing line, so that the next one begins at the left."""
        if self._is_terminal and self._shown:
            self._write(_CLEAR)
        self._shown = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
