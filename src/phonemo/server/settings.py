"""Server config: address, models, limits and access."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from phonemo.config import BaseConfig, load_section
from phonemo.errors import UsageError
from phonemo.runtime.device import parse_device

_Seconds = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ServeLimits(BaseConfig):
    """Limits of single requests and of all together; each has its own error status."""

    body_bytes: _Count = 25 * 2**20
    """Most bytes of a request, with or without Content-Length; 413 body_too_large."""
    audio_seconds: Annotated[float, Field(ge=1)] = 600.0
    """Longest recording, decoded; 413 audio_too_long."""
    decoded_bytes: _Count = 2**28
    """Most bytes of float32 samples of all channels at the file's own rate; 413 audio_too_large."""
    read_seconds: _Seconds = 60.0
    """Time to receive a request after its head; 408 read_timeout. Also the time after which a
    connection is closed whose client stops reading the response."""
    slowest_bytes_per_second: _Count = 1024
    """Slowest rate of a request after its first five seconds; 408 read_timeout. So is a body that
    would be late at twice its rate so far, by its Content-Length."""
    header_seconds: _Seconds = 10.0
    """Time to receive the head of a request; the connection is then closed."""
    queue: Annotated[int, Field(ge=0)] = 16
    """Requests that may wait, in addition to those being processed; 429 queue_full. These places,
    ``uploads``, ``streams`` and ``connections`` are shared by clients: when all are in use, the
    client that holds most of them yields one to a client that holds fewer."""
    connections: _Count = 1000
    """Open connections; further ones are closed at once. Fewer if the system's limit on open files
    is lower."""
    uploads: _Count = 64
    """Requests that may be received at the same time; they enter the queue once they are complete;
    429 queue_full."""
    deadline_seconds: _Seconds = 60.0
    """Time from the last byte of a request to its response; 503 busy, or 504 deadline_exceeded
    where the recording is too long for it. A request that cannot meet it by estimate is refused at
    once, with 503 busy or 413 audio_too_long."""
    deadline_per_audio_second: Annotated[float, Field(ge=0)] = 0.5
    """Seconds that each second of audio adds to the deadline."""
    waiting_audio_bytes: _Count = 2**27
    """Most bytes of decoded audio of all recordings above 30 s together; further ones wait, not
    decoded. One that needs more is processed alone."""
    decode_seconds: _Seconds = 15.0
    """Time to decode one recording; the decoder process is then replaced; 504 decoder_timeout."""
    decoder_bytes: _Count = 2**29
    """Memory that a decoder process may allocate after its start."""
    streams: Annotated[int, Field(ge=0)] = 4
    """Concurrent live streams; further ones get stream_limit and are closed with 1013."""
    stream_seconds: _Seconds = 3600.0
    """Longest live stream, in audio or in real time; it then gets its result and is closed."""
    stream_idle_seconds: _Seconds = 30.0
    """Longest time without samples or a command in a live stream; it then gets its result and is
    closed."""
    stream_messages_per_second: _Count = 1000
    """Most messages in a live stream, beside one for each 10 ms of its audio; a flood of tiny ones
    closes it with 1008."""
    stream_message_bytes: _Count = 2**18
    """Largest message in a live stream; a larger one closes it with 1009."""
    profile_bytes: _Count = 2**17
    """Largest profile that a client may send: about 5000 features; 400 invalid_form."""
    profile_files: _Count = 64
    """Most recordings for one profile; 400 invalid_form."""
    profile_seconds: _Seconds = 600.0
    """Most decoded audio of these recordings in total; 413 audio_too_long."""


class ServeAccess(BaseConfig):
    """Access control; by default open to every client, but to no page of another origin."""

    keys: tuple[_Digest, ...] = ()
    """SHA-256 of the accepted API keys, in hexadecimal; empty accepts requests without a key.
    ``phonemo serve --new-key`` creates a key and its digest."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may send requests, such as https://example.org; "*" is any."""
    hosts: tuple[str, ...] | None = None
    """Accepted names in the Host header; null is any, but on a loopback address only its own names,
    which prevents DNS rebinding."""
    proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies, whose X-Forwarded-For names the client that places are shared
    by; it is ignored from any other address."""
    metrics: bool = True
    """Whether to serve /metrics."""
    about: Literal["open", "key"] = "open"
    """Whether /metrics, /v1/models, /version, /openapi.json and /docs need an API key too, if the
    config has keys: "open" or "key". /v1/limits and the health probes never do."""

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            is_url = origin.count("/") == 2 and origin.startswith(("http://", "https://"))
            if origin != "*" and not is_url:
                raise ValueError(f"expected an origin like https://example.org, got {origin!r}")
        return origins


class ServeConfig(BaseConfig):
    """The config of ``phonemo serve``."""

    host: str = "127.0.0.1"
    """Address to bind to; 0.0.0.0 is all addresses of this machine."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port; 0 selects a free one."""
    models: tuple[str, ...] = ()
    """Bundles, model folders, or names of packaged models (phonemo-small, phonemo-open); the first
    is the default model; empty: phonemo-small."""
    device: str = "cpu"
    """Where the networks run: "cpu", "cuda", "cuda:1", or "auto", the card if they open there. A
    missing card is an error at the start."""
    profiles: str | None = None
    """Folder of profiles from phonemo adapt: each NAME.json is offered to clients as NAME (letters,
    digits, dots, dashes and underscores). They are read once, at startup."""
    page: bool = True
    """Whether to serve the page at /."""
    workers: _Count | None = None
    """Recordings processed at the same time; null is one per CPU."""
    decoders: _Count | None = None
    """Decoder processes; null is one per CPU, at least two. With two or more, one of them takes
    only recordings of up to 30 s."""
    batch_seconds: Annotated[float, Field(ge=0)] = 4.0
    """Most audio in a batch of waiting requests; 0 disables batching."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 5
    """Added to the niceness of the inference threads for long recordings (Linux), and a fifth to
    that of the others, so that they leave the processor to short ones and to the HTTP thread; the
    higher, the more other programs slow them down."""
    activity: str = "energy"
    """Voice activity detector, as for ``phonemo predict --vad``."""
    grace_seconds: _Seconds = 30.0
    """Time for requests in progress to finish after a stop signal."""
    limits: ServeLimits = ServeLimits()
    """Limits of requests."""
    access: ServeAccess = ServeAccess()
    """Access control."""

    @field_validator("device")
    @classmethod
    def _device(cls, device: str) -> str:
        return _parsed_device(device)


def _parsed_device(device: str) -> str:
    try:
        return parse_device(device)
    except UsageError as error:
        raise ValueError(str(error)) from error


def load_serve_config(path: str | Path | None, overrides: Sequence[str] = ()) -> ServeConfig:
    """Read a server config, or use the defaults without a file; see ``load_section``."""
    return load_section(path, overrides, ServeConfig, "serve")
