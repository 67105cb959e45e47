"""Convert Mandarin syllables, split by pypinyin, to IPA; tones have no symbol.

Source: the phoneme values of Hanyu Pinyin (Duanmu 2007, "The Phonology of Standard Chinese"); the
vowel after z c s zh ch sh r is ``ɨ``, as for Polish y.
"""

from __future__ import annotations

from phonemo.corpora.g2p.alphabets import table
from phonemo.errors import PhonemeError

#: Initial -> IPA; the empty initial is not a key.
INITIALS = table(
    """
    b:p p:pʰ m:m f:f d:t t:tʰ n:n l:l g:k k:kʰ h:x j:t͡ɕ q:t͡ɕʰ x:ɕ zh:t͡ʂ ch:t͡ʂʰ sh:ʂ r:ʐ z:t͡s c:t͡sʰ
    s:s
    """
)

#: Final, v for ü -> IPA.
FINALS = table(
    """
    a:a o:o e:ɤ ê:ɛ i:i u:u v:y ai:aɪ ei:eɪ ao:aʊ ou:oʊ an:a+n en:ə+n ang:a+ŋ eng:ə+ŋ ong:ʊ+ŋ er:ɝ
    ia:j+a ie:j+ɛ io:j+o iao:j+aʊ iou:j+oʊ iai:j+aɪ ian:j+ɛ+n in:i+n iang:j+a+ŋ ing:i+ŋ iong:j+ʊ+ŋ
    ua:w+a uo:w+o uai:w+aɪ uei:w+eɪ uan:w+a+n uen:w+ə+n uang:w+a+ŋ ueng:w+ə+ŋ
    ve:ɥ+ɛ van:ɥ+ɛ+n vn:y+n
    """
)

_APICAL = ("z", "c", "s", "zh", "ch", "sh", "r")


def from_pinyin(initial: str, final: str) -> tuple[str, ...]:
    """Convert a syllable to IPA: an initial, which may be empty, and a final ("sh", "uang").

    Raises:
        PhonemeError: an initial or final outside the tables.
    """
    if final not in FINALS or (initial and initial not in INITIALS):
        raise PhonemeError(
            f"{initial + final!r} is not in phonemo's table of Mandarin syllables; omit the "
            "utterance's phonemes or write it in other characters"
        )
    if initial in _APICAL and final == "i":
        return (*INITIALS[initial], "ɨ")
    return (*INITIALS.get(initial, ()), *FINALS[final])
