"""Live streams in the formats of MediaRecorder: which there are, and what decodes them."""

from __future__ import annotations

from phonemo.server.api_errors import ApiError
from phonemo.server.decoders.stream_decoder import MediaStreamDecoder
from phonemo.server.decoders.stream_worker import StreamLimits
from phonemo.server.formats import reads_media
from phonemo.server.settings import ServeLimits

#: Values of ``encoding`` for a container; its first bytes say which one it is.
MEDIA_ENCODINGS = ("webm", "opus", "ogg", "mp4")


def media_decoder(encoding: str, limits: ServeLimits) -> MediaStreamDecoder:
    """Return the decoder of a stream; its process starts with the first message.

    Args:
        encoding: one of MEDIA_ENCODINGS.
        limits: limits of the server.

    Raises:
        ApiError: the extra ``media`` is missing (415).
    """
    if not reads_media():
        message = f"encoding: {encoding} needs pip install 'phonemo[media]' on the server; send "
        message += "samples instead, as encoding=s16le"
        raise ApiError(415, "unsupported_audio", message, "encoding")
    return MediaStreamDecoder(
        StreamLimits(limits.audio_seconds, limits.decoder_bytes, limits.decode_seconds)
    )
