"""Decode the audio of an utterance: its part of the file, and its channel."""

from __future__ import annotations

from phonemo.audio import Waveform, load_waveform
from phonemo.corpora.manifest import Manifest, ManifestStream, Utterance


def load_utterance(
    manifest: Manifest | ManifestStream, utterance: Utterance, most_seconds: float | None = None
) -> Waveform:
    """Decode an utterance to 16 kHz mono.

    Args:
        manifest: the manifest with the root of the audio.
        utterance: one of its utterances; without a channel, all channels are mixed.
        most_seconds: decode only this much of its beginning.

    Raises:
        AudioError: a missing or unreadable file, or one without the utterance's channel.
    """
    end = utterance.end
    if most_seconds is not None:
        latest = (utterance.start or 0.0) + most_seconds
        end = latest if end is None else min(end, latest)
    path = manifest.audio_path(utterance)
    return load_waveform(path, start=utterance.start, end=end, channel=utterance.channel)
