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
from phonemo.corpora.readers.base import Corpus

CORPORA: dict[str, Corpus] = {
    "iemocap": Corpus(iemocap.CARD, iemocap.read),
    "emodb": Corpus(emodb.CARD, emodb.read),
    "ravdess": Corpus(ravdess.CARD, ravdess.read),
    "nemo": Corpus(nemo.CARD, nemo.read),
    "speechocean762": Corpus(speechocean762.CARD, speechocean762.read),
    "cremad": Corpus(cremad.CARD, cremad.read),
    "rakshak": Corpus(rakshak.CARD, rakshak.read),
    "emotiontts": Corpus(emotiontts.CARD, emotiontts.read),
    "csv": Corpus(csv.CARD, csv.read),
    "audformat": Corpus(audformat.CARD, audformat.read),
    "lhotse": Corpus(lhotse.CARD, lhotse.read),
    "textgrid": Corpus(textgrid.CARD, textgrid.read),
}
