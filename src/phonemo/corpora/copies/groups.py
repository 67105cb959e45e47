"""Group the utterances of a manifest that are the same recording, and list near-copies.

Two utterances are copies if their decoded samples are equal, whatever their container, name, id or
speaker. Near-copies sound the same, but were resampled, re-encoded, trimmed or changed in level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from phonemo.corpora.copies.digests import Progress, Recording, iter_recordings
from phonemo.corpora.copies.matching import match_fingerprints
from phonemo.corpora.manifest import Manifest, Utterance

#: Pairs listed in a message.
MOST_LISTED = 3


@dataclass(frozen=True)
class NearCopy:
    """Two utterances with similar sound, and the share of fingerprint bits that differ."""

    first: str
    second: str
    bit_errors: float


@dataclass(frozen=True)
class Copies:
    """The copies among utterances.

    Attributes:
        digests: utterance id -> hexadecimal digest of its samples.
        names: utterance id -> its file, for messages.
        near: near-copies that are not copies.
        unread: number of utterances that are silent or cannot be decoded.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    near: tuple[NearCopy, ...] = ()
    unread: int = 0

    @property
    def groups(self) -> list[list[str]]:
        """Ids of the same recording, in the order of the manifest; single ones are left out."""
        by_digest: dict[str, list[str]] = {}
        for name, digest in self.digests.items():
            by_digest.setdefault(digest, []).append(name)
        return [ids for ids in by_digest.values() if len(ids) > 1]

    def titles(self) -> dict[str, str]:
        """Utterance id -> text that names the recording; copies have the same."""
        titles = {name: self._name(name) for name in self.digests}
        for ids in self.groups:
            more = f" and {len(ids) - 2} more" if len(ids) > 2 else ""
            titles |= dict.fromkeys(ids, f"{self.pair(ids[0], ids[1])}{more}")
        return titles

    def pair(self, first: str, second: str) -> str:
        """Name two utterances: "a.wav = b.wav"."""
        return f"{self._name(first)} = {self._name(second)}"

    def _name(self, utterance: str) -> str:
        return self.names.get(utterance, utterance)


#: Audio was not compared, or has no copies.
NO_COPIES = Copies()


def find_copies(
    manifest: Manifest,
    utterances: Sequence[Utterance],
    progress: Progress | None = None,
    near: bool = True,
) -> Copies:
    """Decode utterances and find copies and near-copies among them.

    Seven to twelve seconds of one core for 1,000 recordings of three seconds; less than two if they
    are cached.

    Args:
        manifest: locates the audio.
        utterances: any of its utterances, with unique ids.
        progress: called with (done, total) utterances.
        near: search near-copies too.
    """
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(utterances))

    recordings = list(iter_recordings(manifest, utterances, tick))
    return copies_of(utterances, recordings, near)


def read_digests(
    manifest: Manifest, utterances: Sequence[Utterance], progress: Progress | None = None
) -> dict[str, str]:
    """Decode utterances and return the digest by id, without those that have none."""
    return dict(find_copies(manifest, utterances, progress, near=False).digests)


def copies_of(
    utterances: Sequence[Utterance], recordings: Sequence[Recording], near: bool = True
) -> Copies:
    """Compare decoded recordings, one per utterance."""
    digests = {
        row.id: recording.digest.hex()
        for row, recording in zip(utterances, recordings, strict=True)
        if recording.digest is not None
    }
    first = {digest: place for place, digest in reversed([*enumerate(digests.values())])}
    places = sorted(first.values())  # each recording once: its copies are known already
    ids = [list(digests)[place] for place in places]
    words = {row.id: recording.words for row, recording in zip(utterances, recordings, strict=True)}
    matches = match_fingerprints([words[name] for name in ids]) if near else []
    return Copies(
        digests=digests,
        names={row.id: _place(row) for row in utterances},
        near=tuple(NearCopy(ids[m.first], ids[m.second], m.bit_errors) for m in matches),
        unread=len(utterances) - len(digests),
    )


def join_units(
    units: Mapping[str, str], copies: Copies
) -> tuple[dict[str, str], list[tuple[list[str], str]]]:
    """Give units that share a recording one name, so that a split keeps its copies together.

    Args:
        units: utterance id -> unit, such as its speaker.
        copies: the copies among the utterances.

    Returns:
        The new units, and for each joined unit its old names and a pair of copies.
    """
    parent = {unit: unit for unit in units.values()}

    def root(unit: str) -> str:
        while parent[unit] != unit:
            unit = parent[unit]
        return unit

    examples: list[tuple[str, str]] = []
    for ids in copies.groups:
        known = [name for name in ids if name in units]
        for name in known[1:]:
            kept, renamed = sorted((root(units[known[0]]), root(units[name])))
            if kept != renamed:
                parent[renamed] = kept
                examples.append((kept, copies.pair(known[0], name)))
    members: dict[str, list[str]] = {}
    for unit in sorted(parent):
        members.setdefault(root(unit), []).append(unit)
    pairs = {root(unit): pair for unit, pair in reversed(examples)}
    joined = [(old, pairs[new]) for new, old in members.items() if len(old) > 1]
    return {name: root(unit) for name, unit in units.items()}, joined


def list_some(texts: Iterable[str]) -> str:
    """Join the first texts, and count the rest."""
    texts = list(texts)
    rest = len(texts) - MOST_LISTED
    return ", ".join(texts[:MOST_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _place(utterance: Utterance) -> str:
    if utterance.start is None and utterance.end is None:
        return utterance.file
    end = "end" if utterance.end is None else f"{utterance.end:g}"
    return f"{utterance.file} {utterance.start or 0:g}-{end} s"
