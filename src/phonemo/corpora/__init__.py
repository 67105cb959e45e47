"""Corpora by name: what each release's authors publish, read into one kind of manifest."""

from __future__ import annotations

from phonemo.corpora import (
    audformat_database,
    cremad,
    csv_table,
    emodb,
    emotiontts,
    iemocap,
    lhotse_cuts,
    nemo,
    rakshak,
    ravdess,
    speechocean762,
    textgrids,
)
from phonemo.corpora.card import Corpus

CORPORA: dict[str, Corpus] = {
    "iemocap": Corpus(iemocap.CARD, iemocap.read),
    "emodb": Corpus(emodb.CARD, emodb.read),
    "ravdess": Corpus(ravdess.CARD, ravdess.read),
    "nemo": Corpus(nemo.CARD, nemo.read),
    "speechocean762": Corpus(speechocean762.CARD, speechocean762.read),
    "cremad": Corpus(cremad.CARD, cremad.read),
    "rakshak": Corpus(rakshak.CARD, rakshak.read),
    "emotiontts": Corpus(emotiontts.CARD, emotiontts.read),
    "csv": Corpus(csv_table.CARD, csv_table.read),
    "audformat": Corpus(audformat_database.CARD, audformat_database.read),
    "lhotse": Corpus(lhotse_cuts.CARD, lhotse_cuts.read),
    "textgrid": Corpus(textgrids.CARD, textgrids.read),
}
