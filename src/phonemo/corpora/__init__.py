"""Corpus readers by name; every reader turns a release into the same manifest format."""

from __future__ import annotations

from phonemo.corpora.readers import (
    cremad,
    emodb,
    emotiontts,
    iemocap,
    msp_podcast,
    nemo,
    rakshak,
    ravdess,
    speechocean762,
)
from phonemo.corpora.readers.base import CorpusReader
from phonemo.corpora.readers.formats import audformat_database, csv, lhotse_cuts, textgrid_folder

CORPORA: dict[str, CorpusReader] = {
    "iemocap": CorpusReader(iemocap.CARD, iemocap.read),
    "emodb": CorpusReader(emodb.CARD, emodb.read),
    "ravdess": CorpusReader(ravdess.CARD, ravdess.read),
    "nemo": CorpusReader(nemo.CARD, nemo.read),
    "speechocean762": CorpusReader(speechocean762.CARD, speechocean762.read),
    "cremad": CorpusReader(cremad.CARD, cremad.read),
    "rakshak": CorpusReader(rakshak.CARD, rakshak.read),
    "emotiontts": CorpusReader(emotiontts.CARD, emotiontts.read),
    "msp-podcast": CorpusReader(msp_podcast.CARD, msp_podcast.read),
    "csv": CorpusReader(csv.CARD, csv.read),
    "audformat": CorpusReader(audformat_database.CARD, audformat_database.read),
    "lhotse": CorpusReader(lhotse_cuts.CARD, lhotse_cuts.read),
    "textgrid": CorpusReader(textgrid_folder.CARD, textgrid_folder.read),
}
