"""Raw samples in a byte stream: their encodings, their decoder and the check of what they are."""

from phonemo.audio.pcm.encodings import ALIASES, ENCODINGS, Encoding, parse_encoding
from phonemo.audio.pcm.pcm_decoder import PcmDecoder, SampleDecoder

__all__ = ["ALIASES", "ENCODINGS", "Encoding", "PcmDecoder", "SampleDecoder", "parse_encoding"]
