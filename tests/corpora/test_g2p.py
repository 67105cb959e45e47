"""Text to phonemes: hand-checked words, complete tables, and text that must be rejected."""

from __future__ import annotations

import csv
import re
import sqlite3
import sys
import unicodedata
from pathlib import Path

import pytest

from phonemo.corpora.g2p import convert
from phonemo.corpora.g2p import gruut as gruut_backend
from phonemo.corpora.g2p.alphabets import ARPABET, IPA
from phonemo.corpora.g2p.convert import BACKENDS, backend, phonemize
from phonemo.corpora.g2p.gruut import GRUUT, GRUUT_LANGUAGES, SECOND_DICTIONARY, from_gruut
from phonemo.corpora.g2p.pinyin import FINALS, INITIALS, from_pinyin
from phonemo.corpora.g2p.polish import phonemize_polish
from phonemo.errors import MissingExtraError, PhonemeError


def spoken(text: str, language: str) -> str:
    return " ".join(phonemize(text, language).symbols)


# --- Polish: a golden list, written by hand from Polish pronouncing dictionaries' conventions ---

POLISH = {
    "dom": "d ɔ m",
    "matka": "m a t k a",
    "szkoła": "ʂ k ɔ w a",
    "czas": "t͡ʂ a s",
    "trzy": "t ʂ ɨ",
    "czy": "t͡ʂ ɨ",
    "drzewo": "d ʐ ɛ v ɔ",
    "dżem": "d͡ʐ ɛ m",
    "dźwięk": "d͡ʑ v j ɛ ŋ k",
    "dzień": "d͡ʑ ɛ ɲ",
    "dzwon": "d͡z v ɔ n",
    "chleb": "x l ɛ p",
    "hak": "x a k",
    "krew": "k r ɛ f",
    "krwi": "k r v i",
    "wóz": "v u s",
    "wozy": "v ɔ z ɨ",
    "nóż": "n u ʂ",
    "gwiazda": "ɡ v j a z d a",
    "gwiazd": "ɡ v j a s t",
    "kwiat": "k f j a t",
    "twój": "t f u j",
    "święto": "ɕ f j ɛ n t ɔ",
    "przez": "p ʂ ɛ s",
    "krzak": "k ʂ a k",
    "rzeka": "ʐ ɛ k a",
    "brzeg": "b ʐ ɛ k",
    "morze": "m ɔ ʐ ɛ",
    "może": "m ɔ ʐ ɛ",
    "wszystko": "f ʂ ɨ s t k ɔ",
    "wtorek": "f t ɔ r ɛ k",
    "wziąć": "v ʑ ɔ ɲ t͡ɕ",
    "wziął": "v ʑ ɔ w",
    "wzięli": "v ʑ ɛ l i",
    "prośba": "p r ɔ ʑ b a",
    "liczba": "l i d͡ʐ b a",
    "także": "t a ɡ ʐ ɛ",
    "łyżka": "w ɨ ʂ k a",
    "babka": "b a p k a",
    "jabłko": "j a p k ɔ",
    "zęby": "z ɛ m b ɨ",
    "ząb": "z ɔ m p",
    "ręka": "r ɛ ŋ k a",
    "pięć": "p j ɛ ɲ t͡ɕ",
    "piątek": "p j ɔ n t ɛ k",
    "pieniądze": "p j ɛ ɲ ɔ n d͡z ɛ",
    "mąż": "m ɔ̃ ʂ",
    "mężczyzna": "m ɛ̃ ʂ t͡ʂ ɨ z n a",
    "gęś": "ɡ ɛ̃ ɕ",
    "wąs": "v ɔ̃ s",
    "idą": "i d ɔ̃",
    "idę": "i d ɛ",
    "siostra": "ɕ ɔ s t r a",
    "zima": "ʑ i m a",
    "ciasto": "t͡ɕ a s t ɔ",
    "nie": "ɲ ɛ",
    "niania": "ɲ a ɲ a",
    "dziewczyna": "d͡ʑ ɛ f t͡ʂ ɨ n a",
    "lubię": "l u b j ɛ",
    "kiedy": "k j ɛ d ɨ",
    "kino": "k i n ɔ",
    "historia": "x i s t ɔ r j a",
    "historii": "x i s t ɔ r j i",
    "racja": "r a t͡s j a",
    "szczęście": "ʂ t͡ʂ ɛ̃ ɕ t͡ɕ ɛ",
    "źdźbło": "ʑ d͡ʑ b w ɔ",
    "odżywczy": "ɔ d ʐ ɨ f t͡ʂ ɨ",
    "podziemny": "p ɔ d ʑ ɛ m n ɨ",
    "podział": "p ɔ d͡ʑ a w",
    "marznąć": "m a r z n ɔ ɲ t͡ɕ",
    "nauka": "n a u k a",
    "auto": "a w t ɔ",
    "muzeum": "m u z ɛ u m",
    "Tadeusz": "t a d ɛ u ʂ",
    "bank": "b a ŋ k",
    "wanna": "v a n a",
    "codziennie": "t͡s ɔ d͡ʑ ɛ ɲ ɛ",
    "weekend": "w i k ɛ n t",
    "pizza": "p i t͡s a",
}

POLISH_PHRASES = {
    "w parku": "f p a r k u",
    "w domu": "v d ɔ m u",
    "z Polski": "s p ɔ l s k i",
    "pod oknem": "p ɔ d ɔ k n ɛ m",
    "pod stołem": "p ɔ t s t ɔ w ɛ m",
    "przed rzeką": "p ʂ ɛ d ʐ ɛ k ɔ̃",
    "w trzech": "f t ʂ ɛ x",
    "jak dom": "j a ɡ d ɔ m",
    "jak, dom": "j a k d ɔ m",
    "brat Adama": "b r a t a d a m a",
    "raz dwa": "r a z d v a",
    "wóz stoi": "v u s s t ɔ i",
}


@pytest.mark.parametrize(("word", "ipa"), POLISH.items(), ids=list(POLISH))
def test_polish_words(word, ipa):
    assert " ".join(phonemize_polish(word)) == ipa


@pytest.mark.parametrize(("phrase", "ipa"), POLISH_PHRASES.items(), ids=list(POLISH_PHRASES))
def test_polish_phrases(phrase, ipa):
    assert " ".join(phonemize_polish(phrase)) == ipa


def test_polish_sentence():
    sentence = "l u b j ɛ t͡ʂ ɨ t a t͡ɕ p ʂ ɛ t s n ɛ m"
    assert phonemize("Lubię czytać przed snem.", "pl").model_dump() == {
        "alphabet": "ipa",
        "source": "phonemo rules pl",
        "symbols": tuple(sentence.split()),
        "times": None,
    }


@pytest.mark.parametrize(("text", "reason"), [("mam 3 koty", "'3'"), ("мама", "'м'")])
def test_polish_rejects_unknown_characters(text, reason):
    with pytest.raises(PhonemeError, match=reason):
        phonemize(text, "pl")


def test_polish_loses_foreign_accents_only_in_phonemize():
    assert spoken("Müller", "pl") == "m u l ɛ r"
    with pytest.raises(PhonemeError, match="'ü'"):
        phonemize_polish("Müller")


# --- gruut ---


@pytest.mark.parametrize(
    ("text", "arpabet"),
    [
        ("Kids are talking by the door.", "K IH D Z AA R T AO K IH NG B AY DH AH D AO R"),
        ("church judge", "CH ER CH JH AH JH"),
        ("I do not", "AY D UW N AA T"),
        ("DOGS ARE SITTING", "D AO G Z AA R S IH T IH NG"),
        ("21 [LAUGHTER] years", "T W EH N T IY W AH N Y IH R Z"),
        ("don\u2019t\u2014measure", "D OW N T M EH ZH ER"),
        ("caf\u00e9", "K AE F EY"),
    ],
)
@pytest.mark.extras
def test_english(text, arpabet):
    pytest.importorskip("gruut")
    assert spoken(text, "en") == arpabet
    assert phonemize(text, "en").alphabet == "arpabet"


@pytest.mark.parametrize(
    ("text", "ipa"),
    [
        ("Heute Zeit Haus", "h ɔɪ t ə t͡s aɪ t h aʊ s"),
        ("Der Vater wird", "d ɛ ɐ f a t ɐ v ɪ ɐ t"),
        ("Pferde", "p͡f e ɐ d ə"),
        ("Deutsch", "d ɔɪ t͡ʃ"),
        ("gefahren", "ɡ ə f a ʁ ə n"),
        ("ich besuche", "ɪ ç b ə z u x ə"),
        ("Straße", "ʃ t ʁ a s ə"),
    ],
)
@pytest.mark.extras
def test_german(text, ipa):
    pytest.importorskip("gruut")
    assert spoken(text, "de") == ipa


@pytest.mark.parametrize(
    ("phonemes", "language", "symbols"),
    [
        ("d ˈɔ ø t ʃ", "de", "d ɔɪ t͡ʃ"),
        ("b ə ˈa ʊ f", "de", "b ə aʊ f"),
        ("n a ˈɪ", "de", "n a ɪ"),  # stressed: a syllable of its own
        ("h ɔ l t s ʃ t", "de", "h ɔ l t͡s ʃ t"),
        ("ɛ ɾ", "de", "ɛ ɐ"),
        ("f ɑː r ə n", "de", "f a ʁ ə n"),
        ("t ɾ a", "de", "t ʁ a"),
        ("ˈa n n a", "de", "a n a"),
        ("p a l ˈa t t͡s o", "it", "p a l a t͡s o"),
        ("f ˈa t t͡ʃ a", "it", "f a t͡ʃ a"),
        ("b ˈɛ l l a", "it", "b ɛ l a"),
        ("w ɔ̃ z œ̃", "fr", "w ɔ̃ z œ̃"),
        ("k we n ai", "es", "k w e n aɪ"),
        ("b ˈʊ k k ˌeɪ s", "en", "B UH K K EY S"),
    ],
)
def test_from_gruut_by_hand(phonemes, language, symbols):
    assert " ".join(from_gruut(phonemes.split(), language)) == symbols


@pytest.mark.parametrize("language", GRUUT)
def test_gruut_tables_map_into_the_closed_alphabet(language):
    inventory = set(ARPABET) if language == "en" else set(IPA)
    assert {symbol for symbols in GRUUT[language].values() for symbol in symbols} <= inventory
    assert all(symbols for symbols in GRUUT[language].values())
    if language == "en":
        assert {symbol for (symbol,) in GRUUT["en"].values()} == set(ARPABET)


def test_a_symbol_outside_the_table_is_named():
    with pytest.raises(PhonemeError, match="'ʘ'"):
        from_gruut(["a", "ʘ"], "de")


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.extras
def test_gruut_tables_cover_the_dictionary(language):
    package = pytest.importorskip(f"gruut_lang_{language}")
    folder = Path(package.__file__).parent
    path = folder / ("espeak" if language in SECOND_DICTIONARY else "") / "lexicon.db"
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT DISTINCT phonemes FROM word_phonemes").fetchall()
    connection.close()
    symbols = {phoneme for (row,) in rows for phoneme in row.split()}
    bare = {unicodedata.normalize("NFC", phoneme.lstrip("ˈˌ")) for phoneme in symbols}
    assert len(rows) > 100_000
    assert bare == set(GRUUT[language])


@pytest.mark.extras
def test_the_dictionary_in_memory_gives_the_results_of_gruut():
    gruut = pytest.importorskip("gruut")
    german = "Das schwarze Stück Papier, z. B. am 3. Oktober: Krankenwagenxyz!"
    english = "Don't! He's We'll Dr. Smith's 3 friends: xyzzyq."
    for text, language, second in ((german, "de", True), (english, "en", False)):
        sentences = gruut.sentences(text, lang=GRUUT_LANGUAGES[language], espeak=second)
        theirs = [
            (word.text, tuple(word.phonemes))
            for sentence in sentences
            for word in sentence
            if word.is_spoken
        ]
        assert list(gruut_backend.gruut_words(text, language)) == theirs


# --- Mandarin ---


@pytest.mark.extras
def test_mandarin():
    pytest.importorskip("pypinyin")
    assert spoken("你好，世界！", "zh") == "n i x aʊ ʂ ɨ t͡ɕ j ɛ"
    assert spoken("学月亮去女儿", "zh") == "ɕ ɥ ɛ ɥ ɛ l j a ŋ t͡ɕʰ y n y ɝ"
    with pytest.raises(PhonemeError, match="hello"):
        phonemize("你好hello", "zh")


def test_pinyin_tables_map_into_the_ipa():
    for parts in (INITIALS, FINALS):
        assert {symbol for symbols in parts.values() for symbol in symbols} <= set(IPA)


def test_from_pinyin():
    assert from_pinyin("zh", "i") == ("t͡ʂ", "ɨ")
    assert from_pinyin("j", "i") == ("t͡ɕ", "i")
    assert from_pinyin("", "uang") == ("w", "a", "ŋ")
    for initial, final in (("", ""), ("w", "a"), ("b", "xyz")):
        with pytest.raises(PhonemeError, match="syllable"):
            from_pinyin(initial, final)


@pytest.mark.extras
def test_pinyin_tables_cover_every_syllable_of_pypinyin():
    pypinyin = pytest.importorskip("pypinyin")
    characters = "".join(chr(code) for code in range(0x4E00, 0x9FA6))
    initials, finals = (
        pypinyin.lazy_pinyin(characters, style=style, strict=True, errors="ignore")
        for style in (pypinyin.Style.INITIALS, pypinyin.Style.FINALS)
    )
    syllables = {pair for pair in zip(initials, finals, strict=True) if pair[1]}
    assert len(syllables) > 350
    for initial, final in syllables:
        assert set(from_pinyin(initial, final)) <= set(IPA)


# --- phonemize ---


@pytest.mark.parametrize("text", ["", "  ", "...", "[LAUGHTER]", "?!", "\u2014"])
@pytest.mark.parametrize("language", ["en", "de", "pl", "zh"])
def test_a_text_without_words_is_an_error(text, language):
    with pytest.raises(PhonemeError, match="expected words"):
        phonemize(text, language)


@pytest.mark.parametrize("language", ["", "EN", "klingon", "pt-br"])
def test_an_unknown_language_is_an_error(language):
    with pytest.raises(PhonemeError, match=re.escape("known: de, en, es, fr, it, pl, zh")):
        phonemize("text", language)
    with pytest.raises(PhonemeError, match="known:"):
        backend(language)


@pytest.mark.parametrize(
    ("text", "language", "culprit"),
    [
        ("50 % off", "en", "'%'"),
        ("you & me", "en", "'&'"),
        ("hi \U0001f642", "en", "sign"),
        ("a\x00b", "en", "sign"),
        ("привет", "en", "'п'"),
        ("\u0141\u00f3d\u017a", "en", "'Ł'"),
        ("你好", "de", "'你'"),
        ("1 = 1", "de", "'='"),
    ],
)
def test_characters_without_a_pronunciation_are_named(text, language, culprit):
    with pytest.raises(PhonemeError, match=culprit):
        phonemize(text, language)


def test_a_word_without_phonemes_from_gruut_is_an_error(monkeypatch):
    monkeypatch.setattr(convert, "gruut_words", lambda text, language: iter([("xyz", ())]))
    monkeypatch.setattr(convert, "_version", lambda package: "0")
    with pytest.raises(PhonemeError, match="'xyz'"):
        phonemize("xyz", "en")


def test_a_missing_language_package_is_an_error_with_the_command(monkeypatch):
    monkeypatch.setattr(gruut_backend.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(gruut_backend, "optional_module", lambda name: None)
    with pytest.raises(PhonemeError, match=re.escape("pip install 'gruut[it]'")):
        list(gruut_backend.gruut_words("ciao", "it"))


def test_a_missing_extra_is_an_error_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    with pytest.raises(MissingExtraError, match=re.escape("phonemo[g2p]")):
        phonemize("你好", "zh")


@pytest.mark.extras
def test_backends_have_names_and_versions():
    pytest.importorskip("gruut")
    pytest.importorskip("pypinyin")
    for language in BACKENDS:
        name = backend(language)
        pattern = r"(gruut|pypinyin) \d+\.\d+\S* [a-z]{2}|phonemo rules pl"
        assert re.fullmatch(pattern, name)
        assert name.endswith(language)
    assert phonemize("yes", "en").source == backend("en")


# --- real corpora ---


@pytest.mark.parametrize(
    ("corpus", "texts", "alphabet"),
    [
        ("nemo", 90, "ipa"),
        ("emodb", 10, "ipa"),
        ("ravdess", 2, "arpabet"),
        ("speechocean762", 600, "arpabet"),
    ],
)
def test_every_real_transcript_can_be_converted(shared_folder, corpus, texts, alphabet):
    if corpus != "nemo":
        pytest.importorskip("gruut")
    path = shared_folder / "corpora" / corpus / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = {(row["transcript"], row["language"]) for row in csv.DictReader(stream)}
    assert len(rows) >= texts
    symbols = set(IPA if alphabet == "ipa" else ARPABET)
    for text, language in sorted(rows):
        phonemes = phonemize(text, language)
        assert phonemes.alphabet == alphabet
        assert set(phonemes.symbols) <= symbols
        letters = sum(character.isalpha() for character in text)
        assert 0.4 < len(phonemes.symbols) / letters < 1.5
