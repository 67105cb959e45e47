"""The phones of SPHINX-3, in which IEMOCAP's forced alignments are written, as ARPAbet."""

from __future__ import annotations

from phonemo.corpora.ipa import ARPABET, table
from phonemo.errors import PhonemeError

#: Reduced vowels, flap and the unreleased stops at a word's end, folded into the 39.
_FOLDED = table("AX:AH AXR:ER IX:IH DX:T TS:T+S BD:B DD:D GD:G KD:K PD:P TD:T")

_FILLERS = ("SIL", "+BREATHING+", "+GARBAGE+", "+LAUGHTER+", "+LIPSMACK+")

#: Every phone that a .phseg file may hold -> ARPAbet; empty for silence and noises.
SPHINX: dict[str, tuple[str, ...]] = {
    **{phone: (phone,) for phone in ARPABET},
    **_FOLDED,
    **dict.fromkeys(_FILLERS, ()),
}


def from_sphinx(phone: str) -> tuple[str, ...]:
    """ARPAbet for the first token of a .phseg phone; empty for silence and noises.

    Raises:
        PhonemeError: a phone outside the table.
    """
    if phone not in SPHINX:
        raise PhonemeError(
            f"unknown phone {phone!r} in a SPHINX alignment; the {len(SPHINX)} known ones are: "
            f"{', '.join(SPHINX)}"
        )
    return SPHINX[phone]
