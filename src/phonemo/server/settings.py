"""The config of a server: where it listens, what it takes, who may ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from phonemo.config import BaseConfig, load_section

_Seconds = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ServeLimits(BaseConfig):
    """What one request, and all of them together, may take; each has a status of its own."""

    body_bytes: _Count = 25 * 2**20
    """Most bytes of a request, with or without Content-Length; 413 body_too_large."""
    audio_seconds: Annotated[float, Field(ge=1)] = 600.0
    """Longest recording, decoded; 413 audio_too_long."""
    decoded_bytes: _Count = 2**28
    """Most bytes of float32 samples of all channels at the file's own rate; 413 audio_too_large."""
    read_seconds: _Seconds = 60.0
    """For a request to arrive once its head is there; 408 read_timeout. As long may a client take
    in no more of its answer."""
    slowest_bytes_per_second: _Count = 1024
    """A request that arrives more slowly, after five seconds of patience, is 408 read_timeout."""
    header_seconds: _Seconds = 10.0
    """For the head of a request to arrive; the connection is then closed."""
    queue: Annotated[int, Field(ge=0)] = 16
    """Requests that may wait beside those that are worked on; 429 queue_full."""
    connections: _Count = 1000
    """Connections that may be open; a further one is closed at once. Fewer where the system lets
    the process open fewer files."""
    uploads: _Count = 64
    """Requests that may arrive at once; they take no place of the queue until they are whole;
    429 queue_full."""
    deadline_seconds: _Seconds = 60.0
    """From the last byte of a request to its answer; 504 deadline_exceeded."""
    decode_seconds: _Seconds = 15.0
    """For decoding one recording; its process is then replaced; 504 decoder_timeout."""
    decoder_bytes: _Count = 2**29
    """Memory that a decoding process may take beyond what it has when it starts."""
    streams: Annotated[int, Field(ge=0)] = 4
    """Live streams at once; a further one is told stream_limit and closed with 1013."""
    stream_seconds: _Seconds = 3600.0
    """Longest live stream, by its audio or by the clock; it is then answered and closed."""
    stream_idle_seconds: _Seconds = 30.0
    """Longest silence of a client in a live stream; it is then answered and closed."""
    stream_message_bytes: _Count = 2**18
    """Largest message of a live stream; a larger one closes it with 1009."""
    profile_bytes: _Count = 2**17
    """Largest profile that a client may send: some 5000 features; 400 invalid_form."""
    profile_files: _Count = 64
    """Most recordings from which a client may have one profile made; 400 invalid_form."""
    profile_seconds: _Seconds = 600.0
    """Most audio of these recordings together, decoded; 413 audio_too_long."""


class ServeAccess(BaseConfig):
    """Who may ask. As it stands: everybody who reaches the address, no page of another origin."""

    keys: tuple[_Digest, ...] = ()
    """SHA-256 of the API keys that are let in, in hexadecimal; none lets everybody in.
    ``phonemo serve --new-key`` makes a key and its digest."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may ask and read answers, as https://example.org; "*" is any."""
    hosts: tuple[str, ...] | None = None
    """Names that the Host header may have; null is any, or on a loopback address its own names
    only, so that no page can reach it by a name of its own."""
    metrics: bool = True
    """Whether /metrics is there. It is open to everybody, also where keys are wanted."""

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for one in origins:
            if one != "*" and (one.count("/") != 2 or not one.startswith(("http://", "https://"))):
                raise ValueError(f"{one!r}: an origin is https://example.org, without a path")
        return origins


class ServeConfig(BaseConfig):
    """Everything that ``phonemo serve`` can be told."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is all of this machine's."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port; 0 takes a free one."""
    models: tuple[str, ...] = ()
    """Bundles, model folders, or names of models that ship (phonemo-small, phonemo-open); the first
    answers where no model is named; none: phonemo-small."""
    profiles: str | None = None
    """A folder of profiles that phonemo adapt wrote: each NAME.json in it is offered to clients as
    NAME; letters, digits, dots, dashes and underscores. They are read once, at the start."""
    page: bool = True
    """Whether / shows the page."""
    workers: _Count | None = None
    """Recordings heard at once; null is one for each processor."""
    decoders: _Count | None = None
    """Processes that decode; null is one for each processor."""
    batch_seconds: Annotated[float, Field(ge=0)] = 4.0
    """How much audio of waiting requests is heard together; 0 hears every one by itself."""
    activity: str = "energy"
    """The voice activity, as for ``phonemo predict --vad``."""
    grace_seconds: _Seconds = 30.0
    """After a signal to stop: how long work in flight may take to finish."""
    limits: ServeLimits = ServeLimits()
    """What a request may take."""
    access: ServeAccess = ServeAccess()
    """Who may ask."""


def load_serve_config(path: str | Path | None, overrides: Sequence[str] = ()) -> ServeConfig:
    """Read the config of a server, or without a file the defaults; see ``load_section``."""
    return load_section(path, overrides, ServeConfig, "serve")
