"""Convert Polish spelling to phonemes by rule; the spelling is regular and needs no dictionary.

The pronunciation is careful standard Polish (Warsaw), with these choices:

- soft labials and velars are consonant + ``j`` before a vowel ("lubię" l u b j ɛ) and plain before
  i; soft s z c n dz are ɕ ʑ t͡ɕ ɲ d͡ʑ;
- ę at a word's end is ɛ, ą is ɔ̃; before a plosive or affricate both are a vowel and a homorganic
  nasal; before a fricative they stay nasal; before l and ł they are oral;
- an obstruent takes the voicing of the next one, also over word boundaries; at a word's end before
  anything else it is voiceless; w and rz after a voiceless consonant are voiceless;
- prepositions are joined to the next word ("pod oknem" keeps its d);
- n is ŋ after a vowel before k and g; ł between consonants is silent ("jabłko");
- a double consonant is written once, as length is not in the inventory.

Source: the rules of Polish orthography; the golden list in the tests was written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from phonemo.corpora.g2p.alphabets import table
from phonemo.errors import PhonemeError


class _Phone(NamedTuple):
    symbol: str
    yields: bool = False
    """w and rz: they are devoiced after a voiceless consonant instead of voicing it."""


_UNIT = re.compile(r"dź|dż|dz|ch|cz|sz|rz|.")

_CONSONANTS = table(
    """
    b:b c:t͡s ć:t͡ɕ d:d f:f g:ɡ h:x ch:x j:j k:k l:l ł:w m:m n:n ń:ɲ p:p q:k r:r s:s ś:ɕ t:t v:v w:v
    x:k+s z:z ź:ʑ ż:ʐ rz:ʐ sz:ʂ cz:t͡ʂ dz:d͡z dź:d͡ʑ dż:d͡ʐ
    """
)
_SOFT = table("s:ɕ z:ʑ c:t͡ɕ n:ɲ dz:d͡ʑ")
_VOWELS = table("a:a ą:ą e:ɛ ę:ę i:i o:ɔ ó:u u:u y:ɨ")
_NASAL = {"ą": ("ɔ", "ɔ̃"), "ę": ("ɛ", "ɛ̃")}
_NASAL_BEFORE = {
    **dict.fromkeys(("p", "b"), "m"),
    **dict.fromkeys(("t", "d", "t͡s", "d͡z", "t͡ʂ", "d͡ʐ"), "n"),
    **dict.fromkeys(("t͡ɕ", "d͡ʑ"), "ɲ"),
    **dict.fromkeys(("k", "ɡ"), "ŋ"),
}
_DEVOICED = {
    **{"b": "p", "d": "t", "ɡ": "k", "v": "f", "z": "s", "ʐ": "ʂ", "ʑ": "ɕ"},
    **{"d͡z": "t͡s", "d͡ʐ": "t͡ʂ", "d͡ʑ": "t͡ɕ"},
}
_VOICED = {voiceless: voiced for voiced, voiceless in _DEVOICED.items()}
_OBSTRUENTS = {*_DEVOICED, *_VOICED, "x"}
_SYLLABIC = {"a", "ɛ", "i", "ɔ", "u", "ɨ", "ą", "ę"}
_CLITICS = {"w", "z", "od", "pod", "nad", "przed", "bez", "przez", "spod", "znad", "sprzed"}

# Stems that are exceptions to the rules, respelled as pronounced; "+" separates letters that are
# not a digraph or diphthong here.
_RESPELLED = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"^weekend", "łikend"),
        (r"^pizz", "pic"),
        (r"(ma|mie)rz(?=n|ł|i)", r"\1r+z"),
        (r"\b(na|o|po|prze)d(?=ż[^d]|zw|zna|zysk|zór|zor|ziem)", r"\1d+"),
        (r"^budż", "bud+ż"),
        (r"^(na|za|po|prze|przy|nie)u", r"\1+u"),
        (r"eu(?=m$|sz)", "e+u"),
        (r"nn(?=i)", "n"),
        (r"(?<=[ae])u", "ł"),
    )
)


def phonemize_polish(text: str) -> tuple[str, ...]:
    """Convert a text to IPA symbols; numbers and signs must be written as words.

    Raises:
        PhonemeError: a digit, or a letter that is not Polish.
    """
    symbols: list[str] = []
    for phrase in re.split(r"[.,;:!?…()\"„”»«–—\n]+|\s-\s", text.lower()):
        symbols += _convert_phrase(re.findall(r"[\w']+", phrase))
    return tuple(symbols)


def _convert_phrase(words: Sequence[str]) -> list[str]:
    """Convert words spoken without a pause; voicing is assimilated from the last to the first."""
    following: _Phone | None = None
    groups: list[list[str]] = []
    for group in reversed(_with_clitics(words)):
        phones = [phone for word in group for phone in _convert_word(word)]
        voiced = _assimilate(phones, following)
        following = voiced[0] if voiced else following
        groups.append(_velarize_nasals([phone.symbol for phone in voiced]))
    return [symbol for symbols in reversed(groups) for symbol in symbols]


def _with_clitics(words: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = []
    for word in words:
        if groups and groups[-1][-1] in _CLITICS:
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _convert_word(word: str) -> list[_Phone]:
    for pattern, spelling in _RESPELLED:
        word = pattern.sub(spelling, word)
    parts = [_UNIT.findall(part) for part in re.split(r"[+']", word)]
    units = [unit for part in parts for unit in part]
    phones = [phone for index in range(len(units)) for phone in _convert_unit(units, index)]
    return _merge_doubles(_denasalize(_drop_silent_l(phones)))


def _convert_unit(units: Sequence[str], index: int) -> list[_Phone]:
    """The phones of one letter or digraph, given its neighbors."""
    unit = units[index]
    after = units[index + 1] if index + 1 < len(units) else ""
    before = units[index - 1] if index else ""
    if unit == "i" and after in _VOWELS and before in _CONSONANTS:
        return [] if before in _SOFT and after != "i" else [_Phone("j")]
    if unit in _VOWELS:
        return [_Phone(symbol) for symbol in _VOWELS[unit]]
    if unit in _SOFT and after == "i":
        return [_Phone(symbol) for symbol in _SOFT[unit]]
    if unit in _CONSONANTS:
        return [_Phone(symbol, yields=unit in ("w", "rz")) for symbol in _CONSONANTS[unit]]
    if unit.isdigit():
        raise PhonemeError(f"expected Polish words, got the digit {unit!r}; write numbers as words")
    raise PhonemeError(f"{unit!r} is not a Polish letter; write the word as it is pronounced")


def _drop_silent_l(phones: Sequence[_Phone]) -> list[_Phone]:
    """Drop every ł between a consonant and an obstruent."""
    pronounced = []
    for index, phone in enumerate(phones):
        before = phones[index - 1].symbol if index else "a"
        after = phones[index + 1].symbol if index + 1 < len(phones) else ""
        if not (phone.symbol == "w" and before not in _SYLLABIC and after in _OBSTRUENTS):
            pronounced.append(phone)
    return pronounced


def _denasalize(phones: Sequence[_Phone]) -> list[_Phone]:
    result: list[_Phone] = []
    for index, phone in enumerate(phones):
        if phone.symbol not in _NASAL:
            result.append(phone)
            continue
        after = phones[index + 1].symbol if index + 1 < len(phones) else ""
        oral, nasal = _NASAL[phone.symbol]
        if after in _NASAL_BEFORE:
            result += [_Phone(oral), _Phone(_NASAL_BEFORE[after])]
        elif after in ("l", "w") or (not after and phone.symbol == "ę"):
            result.append(_Phone(oral))
        else:
            result.append(_Phone(nasal))
    return result


def _merge_doubles(phones: Sequence[_Phone]) -> list[_Phone]:
    return [
        phone
        for index, phone in enumerate(phones)
        if index == 0 or phone.symbol in _SYLLABIC or phone.symbol != phones[index - 1].symbol
    ]


def _assimilate(phones: Sequence[_Phone], following: _Phone | None) -> list[_Phone]:
    """Give a run of obstruents the voicing of its last one, or at the end of the next word."""
    result = list(phones)
    stop = len(result)
    while stop > 0:
        start = stop
        while start > 0 and result[start - 1].symbol in _OBSTRUENTS:
            start -= 1
        if start < stop:
            final = stop == len(result)
            voiced = _is_voiced(following) if final else _run_is_voiced(result[start:stop])
            result[start:stop] = [_set_voicing(phone, voiced) for phone in result[start:stop]]
        stop = start - 1 if start == stop else start
    return result


def _run_is_voiced(run: Sequence[_Phone]) -> bool:
    deciding = [phone for phone in run if not phone.yields]
    return _is_voiced(deciding[-1] if deciding else run[0])


def _is_voiced(phone: _Phone | None) -> bool:
    return phone is not None and phone.symbol in _DEVOICED


def _set_voicing(phone: _Phone, voiced: bool) -> _Phone:
    change = _VOICED if voiced else _DEVOICED
    return phone._replace(symbol=change.get(phone.symbol, phone.symbol))


def _velarize_nasals(symbols: Sequence[str]) -> list[str]:
    result = list(symbols)
    for index in range(1, len(result) - 1):
        if result[index] == "n" and result[index + 1] in ("k", "ɡ"):
            result[index] = "ŋ" if result[index - 1] in _SYLLABIC else "n"
    return result
