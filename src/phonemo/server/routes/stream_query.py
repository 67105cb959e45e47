"""The address of a live stream: its parameters, and the decoder of the bytes that they declare."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import QueryParams

from phonemo.audio.pcm import ENCODINGS, PcmDecoder, SampleDecoder, parse_encoding
from phonemo.errors import UsageError, safe_name
from phonemo.server.api_errors import ApiError
from phonemo.server.decoders.stream_decoder import MediaStreamDecoder
from phonemo.server.decoders.stream_worker import StreamLimits
from phonemo.server.formats import reads_media
from phonemo.server.routes.form_parts import MOST_FIELDS, check_each_once, invalid
from phonemo.server.settings import ServeLimits

#: Values of ``encoding`` for a container; its first bytes say which one it is.
MEDIA_ENCODINGS = ("webm", "opus", "ogg", "mp4")


class Query(BaseModel):
    """Query parameters of a stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: int = 16_000
    """Sample rate of the client's audio."""
    encoding: str = "s16le"
    """What the binary messages are: one of phonemo.audio.pcm.ENCODINGS or ALIASES for samples, or
    one of MEDIA_ENCODINGS for what MediaRecorder sends, which names its rate and channels."""
    channels: int = 1
    """Interleaved channels, which are averaged."""
    phonemes: bool = False
    decoding: str | None = None
    """How phonemes are decoded: one of the model's `decodings`."""
    edges: str | None = None
    """Where phonemes end: "posteriors" or "waveform"."""
    model: str | None = None
    profile: str | None = None
    """Name of one of the operator's profiles."""
    adapt: bool = False
    """Whether the windows of the stream adapt later ones."""


def parse_query(params: QueryParams) -> Query:
    """Return the checked query; raise ApiError (400) for an unknown or invalid parameter."""
    if (count := len(params.multi_items())) > MOST_FIELDS:
        raise ApiError(400, "invalid_value", f"expected at most {MOST_FIELDS} fields, got {count}")
    check_each_once(params.multi_items())
    try:
        return Query.model_validate(dict(params))
    except ValidationError as error:
        raise invalid(error, list(Query.model_fields)) from error


@contextmanager
def decoder_of(query: Query, limits: ServeLimits) -> Iterator[SampleDecoder]:
    """Return the decoder of the client's bytes; a process of its own ends with the context.

    Raises:
        ApiError: an unknown encoding, a rate or a number of channels out of range, a container with
            a declared rate (400), or a container without the extra ``media`` (415).
    """
    if query.encoding.lower() not in MEDIA_ENCODINGS:
        _check_encoding(query.encoding)
        yield _pcm_decoder(query)
        return
    for name in ("rate", "channels"):
        if name in query.model_fields_set:
            message = f"{name}: a {query.encoding} stream names its own; leave it out"
            raise ApiError(400, "invalid_value", message, name)
    with closing(_media_decoder(query.encoding, limits)) as decoder:
        yield decoder


async def open_decoder(decoder: SampleDecoder) -> None:
    """Start a decoder that is a process, in a thread of its own: nothing else waits for it.

    Raises:
        ApiError: it cannot be started (503).
    """
    if not isinstance(decoder, MediaStreamDecoder) or decoder.is_open:
        return
    thread = ThreadPoolExecutor(1, thread_name_prefix="stream-decoder")
    try:
        await asyncio.get_running_loop().run_in_executor(thread, decoder.open)
    finally:
        thread.shutdown(wait=False)


def _pcm_decoder(query: Query) -> PcmDecoder:
    try:
        return PcmDecoder(query.encoding, query.rate, query.channels)
    except UsageError as error:
        name = "channels" if str(error).startswith("channels") else "rate"
        raise ApiError(400, "invalid_value", str(error), name) from error


def _check_encoding(encoding: str) -> None:
    try:
        parse_encoding(encoding)
    except UsageError as error:
        known = ", ".join((*ENCODINGS, *MEDIA_ENCODINGS))
        message = f"encoding: expected {known}, got {safe_name(encoding)!r}"
        raise ApiError(400, "invalid_value", message, "encoding") from error


def _media_decoder(encoding: str, limits: ServeLimits) -> MediaStreamDecoder:
    """Return the decoder of a container; its process starts with the first message."""
    if not reads_media():
        message = f"encoding: {encoding} is not accepted by this server; send "
        message += "samples instead, as encoding=s16le"
        raise ApiError(415, "unsupported_audio", message, "encoding")
    return MediaStreamDecoder(
        StreamLimits(limits.audio_seconds, limits.decoder_bytes, limits.decode_seconds)
    )
