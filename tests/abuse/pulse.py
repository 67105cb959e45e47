"""How a server is doing while others abuse it: its metrics, and a process that asks /health/live.

python -m tests.abuse.pulse PORT, until its standard input ends
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE_SECONDS = 0.005
_PATIENCE_SECONDS = 240.0


def metric(port: int, name: str) -> float:
    """The sum of a metric's values; ``name`` may end in one of its labels, as `{status="429"`."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    with contextlib.closing(client):
        client.request("GET", "/metrics")
        lines = client.getresponse().read().decode().splitlines()
    bare, _, label = name.partition("{")
    found = [one for one in lines if re.match(rf"phonemo_{bare}(_total)?[ {{]", one)]
    return sum(float(one.rsplit(" ", 1)[1]) for one in found if label in one)


class Pulse:
    """Answers of /health/live, known once it is over."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, float]] = []
        """When each was asked for, by time.monotonic, and after how many milliseconds it came."""

    def quantile(self, share: float) -> float:
        """Of the delays; 1 is the worst."""
        delays = sorted(delay for _, delay in self.answers)
        return delays[min(len(delays) - 1, int(share * len(delays)))]

    def worst(self, began: float, ended: float) -> float:
        """Of those that were waited for between two moments; 0 where there is none."""
        late = (delay for at, delay in self.answers if at < ended and at + delay / 1000 > began)
        return max(late, default=0.0)


@contextlib.contextmanager
def pulse(port: int) -> Iterator[Pulse]:
    """Ask all the time, from a process of its own; every answer has to be 200."""
    line = [sys.executable, "-m", "tests.abuse.pulse", str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    found = Pulse()
    with subprocess.Popen(line, cwd=Path(__file__).resolve().parents[2], **pipes) as asker:
        assert asker.stdout.readline() == "began\n"
        try:
            yield found
        finally:
            said = asker.communicate()[0]
    assert asker.returncode == 0, said
    found.answers += json.loads(said)


def _ask(port: int) -> tuple[float, float]:
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    with contextlib.closing(client):
        client.request("GET", "/health/live")
        assert client.getresponse().status == 200
    return began, 1000 * (time.monotonic() - began)


def main() -> None:
    """Ask until nobody listens any more."""
    port = int(sys.argv[1])
    answers = [_ask(port)]
    sys.stdout.write("began\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], _PAUSE_SECONDS)[0]:
        answers.append(_ask(port))
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
