"""``phonemo serve`` whose decoders obey an upload's first word, and which hears slowly.

    python -m tests.abuse.launch serve --port 0

An upload that begins with ``crash`` ends its decoder by SIGSEGV, one that begins with ``hang`` is
never decoded; all others are decoded as always. A recording that is heard in pieces takes a
moment for each, and a line on standard error when it was heard to its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from phonemo.audio import AudioLimits, Channels, Waveform
from phonemo.audio.each_channel import load_channels
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.server.decoders import decoder_pool
from phonemo.server.decoders.decoder_worker import DecoderLimits, serve

_WORD_BYTES = 5
_HANG_SECONDS = 600.0
_PIECE_SECONDS = 0.02
#: Said when a long recording was heard to its end.
WHOLE = "heard to its end"
COMMAND = [sys.executable, "-m", "tests.abuse.launch", "serve", "--port", "0"]
#: For ``COMMAND``, wherever the tests are started.
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(
        [*filter(None, [os.environ.get("PYTHONPATH")]), str(Path(__file__).resolve().parents[2])]
    )
}


def obey(upload: BinaryIO, channels: Channels, limits: AudioLimits) -> Sequence[Waveform]:
    """Decode, unless the upload says otherwise."""
    word = upload.read(_WORD_BYTES)
    upload.seek(0)
    if word == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word[:4] == b"hang":
        time.sleep(_HANG_SECONDS)
    return load_channels(upload, channels, limits=limits)


def _slow_down() -> None:
    hear = EmotionRecognizer.predict_chunks

    def slowly(self: EmotionRecognizer, pieces: Iterable, shares: bool):
        return hear(self, _paced(pieces), shares)

    EmotionRecognizer.predict_chunks = slowly


def _paced(pieces: Iterable) -> Iterator:
    for one in pieces:
        time.sleep(_PIECE_SECONDS)
        yield one
    sys.stderr.write(f"{WHOLE}\n")
    sys.stderr.flush()


def main() -> None:
    """The command, or one of its decoders."""
    if sys.argv[1] != "serve":
        serve(DecoderLimits(**json.loads(sys.argv[1])), obey)
        return
    decoder_pool.PROGRAM = ("-m", "tests.abuse.launch")  # before the app takes it
    from phonemo.cli import main as app

    _slow_down()
    app.main()


if __name__ == "__main__":
    main()
