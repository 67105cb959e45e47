"""Corpora by name: what each release's authors publish, read into one kind of manifest."""

from __future__ import annotations

from phonemo.corpora.readers import (
    audformat,
    cremad,
    csv,
    emodb,
    emotiontts,
    iemocap,
    lhotse,
    nemo,
    rakshak,
    ravdess,
    speechocean762,
    textgrid,
)
from phonemo.corpora.readers.base import CorpusReader

CORPORA: dict[str, CorpusReader] = {
    "iemocap": CorpusReader(iemocap.CARD, iemocap.read),
    "emodb": CorpusReader(emodb.CARD, emodb.read),
    "ravdess": CorpusReader(ravdess.CARD, ravdess.read),
    "nemo": CorpusReader(nemo.CARD, nemo.read),
    "speechocean762": CorpusReader(speechocean762.CARD, speechocean762.read),
    "cremad": CorpusReader(cremad.CARD, cremad.read),
    "rakshak": CorpusReader(rakshak.CARD, rakshak.read),
    "emotiontts": CorpusReader(emotiontts.CARD, emotiontts.read),
    "csv": CorpusReader(csv.CARD, csv.read),
    "audformat": CorpusReader(audformat.CARD, audformat.read),
    "lhotse": CorpusReader(lhotse.CARD, lhotse.read),
    "textgrid": CorpusReader(textgrid.CARD, textgrid.read),
}
