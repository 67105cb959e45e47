"""What the tests of profiles share: recordings of a source, and a server that offers profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.server.asking import KIND, Answer, ask, form, part, wav
from tests.server.serving import Served, served, settings
from tests.tiny_bundle import ADAPTABLE, BUNDLE

MAKE = "/v1/audio/profiles"
#: Of one source, unlabelled; at each time the same bytes.
RECORDINGS = [wav(1.0 + 0.2 * number, 100.0 + 70 * number) for number in range(6)]
FILE = wav(1.4, 300.0)


def make(
    port: int, *files: bytes, headers: Mapping[str, str] | None = None, **fields: object
) -> Answer:
    """A profile of these recordings is requested."""
    parts = [part("file", file, f"{number}.wav") for number, file in enumerate(files)]
    parts += [part(name, str(value).encode()) for name, value in fields.items()]
    return ask(port, MAKE, "POST", form(*parts), {**KIND, **(headers or {})})


@contextmanager
def offering(recognizer: OnnxRecognizer, folder: Path, **changes: object) -> Iterator[Served]:
    """A server of the adaptable bundle and the old one, which offers "office" and "room-2"."""
    recognizer.profile(RECORDINGS).save(folder / "office.json")
    recognizer.profile(RECORDINGS[:2]).save(folder / "room-2.json")
    models = (str(ADAPTABLE), str(BUNDLE))
    with served(settings(models=models, profiles=str(folder), **changes)) as found:
        yield found
