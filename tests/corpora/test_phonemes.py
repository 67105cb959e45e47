"""Phoneme alphabets, the labels of EmoDB and IEMOCAP, and the five inventories."""

from __future__ import annotations

import csv
import json
import unicodedata

import pytest

from phonemo.corpora.g2p.alphabets import (
    ARPABET_CLASS,
    ARPABET_TO_IPA,
    CLASSES,
    IPA_CLASS,
    SPHINX,
    table,
)
from phonemo.corpora.manifest import Phonemes
from phonemo.corpora.phoneme_inventory import (
    ARPABET,
    BLANK,
    IPA,
    PhonemeInventory,
    arpabet_to_ipa,
    classify,
    from_lablaut,
    from_sphinx,
    make_inventory,
    settle,
    strip_stress,
)
from phonemo.corpora.readers.emodb_labels import LABLAUT, Settled
from phonemo.errors import PhonemeError

NAMES = ("phonemes", "vowels", "broad", "phoneme_x_emotion", "characters")
EMOTIONS = ("anger", "happiness", "neutral")


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# "Kids are talking" in the CMU dictionary.
KIDS = Phonemes(alphabet="arpabet", source="test", symbols=words("K IH D Z AA R T AO K IH NG"))
# "Tisch" in gruut and lablaut, after mapping.
TISCH = Phonemes(alphabet="ipa", source="test", symbols=("t", "ɪ", "ʃ"))


def units(inventory: PhonemeInventory, *targets: object) -> tuple[str, ...]:
    indices = inventory.encode(*targets)
    assert indices is not None
    return inventory.decode(indices)


# --- alphabets ---


def test_arpabet_is_the_39_of_cmu():
    assert len(ARPABET) == len(set(ARPABET)) == 39
    vowels = {symbol for symbol, kind in ARPABET_CLASS.items() if kind in ("vowel", "diphthong")}
    assert vowels == set(words("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"))


def test_ipa_is_closed_and_in_one_normal_form():
    assert isinstance(IPA, tuple)
    assert len(IPA) == len(set(IPA)) == 78
    for symbol in IPA:
        assert unicodedata.is_normalized("NFC", symbol)
        assert not set(symbol) & set("ːˈˌ. |/"), f"{symbol!r} has length, stress or a separator"


def test_arpabet_to_ipa_is_total_and_one_to_one():
    images = [arpabet_to_ipa(symbol) for symbol in ARPABET]
    assert set(images) <= set(IPA)
    assert len(set(images)) == 39


def test_arpabet_to_ipa_hand_checked():
    assert [arpabet_to_ipa(symbol) for symbol in ("AY", "CH", "NG", "ER", "AH", "HH")] == [
        *("aɪ", "t͡ʃ", "ŋ", "ɝ", "ə", "h")
    ]


def test_every_symbol_of_both_alphabets_has_a_class():
    assert set(IPA_CLASS) == set(IPA)
    assert set(ARPABET_CLASS) == set(ARPABET)
    assert set(IPA_CLASS.values()) == set(CLASSES)
    assert {ARPABET_CLASS[symbol] for symbol in ("P", "JH", "HH", "M", "R", "AE", "OY")} == set(
        CLASSES
    )


@pytest.mark.parametrize("phone", ["IY0", "T3", "XX", "", "iy"])
def test_arpabet_outside_the_39_is_an_error(phone):
    with pytest.raises(PhonemeError, match=repr(phone)):
        arpabet_to_ipa(phone)


@pytest.mark.parametrize(
    ("phone", "bare"), [("IY0", "IY"), ("AH1", "AH"), ("ER2", "ER"), ("T", "T")]
)
def test_strip_stress(phone, bare):
    assert strip_stress(phone) == bare


@pytest.mark.parametrize("phone", ["IY3", "QQ1", "", "0", "SIL"])
def test_strip_stress_rejects_unknown_phones(phone):
    with pytest.raises(PhonemeError, match="expected one of the 39 ARPAbet phones"):
        strip_stress(phone)


def test_tables_are_written_as_documented():
    assert table("AY:aɪ i6:i+ɐ ʔ:") == {"AY": ("aɪ",), "i6": ("i", "ɐ"), "ʔ": ()}


# --- SPHINX (IEMOCAP) ---


def test_sphinx_table_is_total_into_arpabet():
    assert set(ARPABET) <= set(SPHINX)
    assert {symbol for symbols in SPHINX.values() for symbol in symbols} == set(ARPABET)


@pytest.mark.parametrize(
    ("phone", "symbols"),
    [
        *(("AX", ("AH",)), ("IX", ("IH",)), ("AXR", ("ER",)), ("DX", ("T",)), ("TS", ("T", "S"))),
        *(("DD", ("D",)), ("KD", ("K",)), ("TD", ("T",)), ("BD", ("B",)), ("GD", ("G",))),
        *(("PD", ("P",)), ("SIL", ()), ("+LAUGHTER+", ()), ("+GARBAGE+", ()), ("OY", ("OY",))),
    ],
)
def test_from_sphinx(phone, symbols):
    assert from_sphinx(phone) == symbols


@pytest.mark.parametrize("phone", ["SFrm", "ax", "+NOISE+", "", "AH0"])
def test_unknown_sphinx_phone_is_an_error(phone):
    with pytest.raises(PhonemeError, match="SPHINX"):
        from_sphinx(phone)


# --- lablaut (EmoDB) ---


def test_lablaut_table_is_inside_the_ipa():
    assert {symbol for _, symbols in LABLAUT.values() for symbol in symbols} <= set(IPA)


@pytest.mark.parametrize(
    ("label", "kind", "symbols"),
    [
        *(("a", "phone", ("a",)), ("OY\t+beh,-sth\t2", "phone", ("ɔɪ",))),
        *(
            ("i6\t\t3", "phone", ("i", "ɐ")),
            ("I+nas", "phone", ("ɪ",)),
            ("6 \t\t1", "phone", ("ɐ",)),
        ),
        *(
            ("t\t+fr", "closure", ("t",)),
            ("_d\t-sth", "closure", ("d",)),
            ("g-sth", "closure", ("ɡ",)),
        ),
        *(("!g", "burst", ("ɡ",)), ("!b+na", "burst", ("b",)), ("!", "burst", ())),
        *(("tasp+sth", "aspiration", ("t",)), ("gas+sth", "aspiration", ("ɡ",))),
        *(("dsap", "aspiration", ("d",)), ("-sth,-tie", "modifier", ()), ("[+eng", "modifier", ())),
        *(("--sth", "modifier", ()), ("hoe", "modifier", ()), ("", "modifier", ())),
        *((".\t-eng]", "pause", ()), ("(gef", "pause", ()), ("?", "pause", ())),
        *(("B", "phone", ("b",)), ("V\t+tie", "phone", ("v",)), ("4", "phone", ("ʁ",))),
        *(("Q", "unknown", ()), ("tapps", "unknown", ())),
    ],
)
def test_classify_lablaut(label, kind, symbols):
    assert classify(label) == (kind, symbols)


def test_unknown_lablaut_label_is_an_error():
    assert from_lablaut("@6") == ("ə", "ɐ")
    with pytest.raises(PhonemeError, match="'Q'"):
        from_lablaut("Q")


def test_settle_joins_affricates_and_returns_their_range():
    assert settle(("j", "ɛ", "t", "s", "t")) == (
        Settled("j", 0, 1),
        Settled("ɛ", 1, 2),
        Settled("t͡s", 2, 4),
        Settled("t", 4, 5),
    )


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ("ʃ x a ŋ k", "ʃ ʁ a ŋ k"),  # Schrank
        ("n a x h aʊ z ə", "n a x h aʊ z ə"),  # nach Hause
        ("v ɔ x ə n", "v ɔ x ə n"),  # Wochen
        ("t x ɪ ŋ k ə n", "t ʁ ɪ ŋ k ə n"),  # trinken
        ("x ʊ n t ɐ", "ʁ ʊ n t ɐ"),  # runter
        ("t ʃ", "t͡ʃ"),
        ("p f", "p͡f"),
        ("", ""),
    ],
)
def test_settle_distinguishes_r_from_ach(symbols, expected):
    assert [settled.symbol for settled in settle(symbols.split())] == expected.split()


def test_every_label_of_emodb_is_known(shared_folder):
    folder = shared_folder / "corpora" / "emodb" / "lablaut"
    files = sorted(folder.glob("*.lablaut"))
    assert len(files) > 500
    labels = {label for file in files for label in _labels(file.read_text("latin-1"))}
    unknown = sorted(label for label in labels if classify(label)[0] == "unknown")
    assert unknown == []
    bare = {label.split()[0] for label in labels if label.split()}
    dead = sorted(label for label in LABLAUT if not any(base.startswith(label) for base in bare))
    assert dead == [], "labels in the table that the release does not hold"


def _labels(text: str) -> list[str]:
    lines = text.splitlines()
    rows = [line.split(None, 2) for line in lines[lines.index("#") + 1 :]]
    return [row[2] for row in rows if len(row) == 3]


# --- inventories ---


@pytest.mark.parametrize("alphabet", ["arpabet", "ipa"])
@pytest.mark.parametrize("name", NAMES)
def test_law_of_inventories(name, alphabet):
    inventory = make_inventory(name, alphabet, EMOTIONS, ["Kids are talking by the door."])
    assert inventory.symbols[0] == BLANK
    assert BLANK not in inventory.symbols[1:]
    target = inventory.encode(KIDS, "Kids are talking", "anger")
    assert target
    assert all(0 < index < len(inventory) for index in target)
    again = PhonemeInventory.from_json(json.loads(json.dumps(inventory.to_json())))
    assert again == inventory
    assert again.encode(KIDS, "Kids are talking", "anger") == target
    spread = [frame for index in target for frame in (index, index, 0)]
    assert inventory.collapse([0, *spread]) == target
    assert inventory.encode(None, None, None) is None


@pytest.mark.parametrize("alphabet", ["arpabet", "ipa"])
@pytest.mark.parametrize("name", NAMES[:4])
def test_every_phoneme_can_be_encoded(name, alphabet):
    inventory = make_inventory(name, alphabet, EMOTIONS)
    everything = Phonemes(
        alphabet=alphabet, source="test", symbols=ARPABET if alphabet == "arpabet" else IPA
    )
    for emotion in EMOTIONS:
        assert inventory.encode(everything, None, emotion)


def test_sizes():
    sizes = {
        (name, alphabet): len(make_inventory(name, alphabet, EMOTIONS))
        for name in NAMES[:4]
        for alphabet in ("arpabet", "ipa")
    }
    assert sizes == {
        ("phonemes", "arpabet"): 1 + 39,
        ("phonemes", "ipa"): 1 + 78,
        ("vowels", "arpabet"): 1 + 15 + 1,
        ("vowels", "ipa"): 1 + 24 + 5 + 1,
        ("broad", "arpabet"): 1 + 7,
        ("broad", "ipa"): 1 + 7,
        ("phoneme_x_emotion", "arpabet"): 1 + 39 * 3,
        ("phoneme_x_emotion", "ipa"): 1 + 78 * 3,
    }


def test_phonemes_by_hand():
    arpabet = make_inventory("phonemes", "arpabet", ())
    assert units(arpabet, KIDS, None, None) == KIDS.symbols
    ipa = make_inventory("phonemes", "ipa", ())
    assert units(ipa, KIDS, None, None) == words("k ɪ d z ɑ ɹ t ɔ k ɪ ŋ")
    assert units(ipa, TISCH, None, None) == TISCH.symbols


def test_vowels_by_hand():
    inventory = make_inventory("vowels", "arpabet", ())
    assert units(inventory, KIDS, None, None) == words("C IH C AA C AO C IH C")
    vowels = Phonemes(alphabet="arpabet", source="test", symbols=("IY", "IY", "T", "S"))
    assert units(inventory, vowels, None, None) == ("IY", "IY", "C")


def test_broad_by_hand():
    inventory = make_inventory("broad", "ipa", ())
    assert units(inventory, TISCH, None, None) == ("plosive", "vowel", "fricative")
    assert units(inventory, KIDS, None, None)[:4] == ("plosive", "vowel", "plosive", "fricative")


def test_phoneme_x_emotion_by_hand():
    inventory = make_inventory("phoneme_x_emotion", "ipa", EMOTIONS)
    assert units(inventory, TISCH, None, "anger") == ("t/anger", "ɪ/anger", "ʃ/anger")
    assert inventory.encode(TISCH, None, None) is None
    with pytest.raises(PhonemeError, match="boredom"):
        inventory.encode(TISCH, None, "boredom")


def test_characters_by_hand():
    inventory = make_inventory("characters", "ipa", (), ["Größe, don\u2019t!", "x-2"])
    assert inventory.symbols == (BLANK, *sorted("größedn'tx2o|"))
    assert units(inventory, None, "Don't 'GO\u0308RG'", None) == tuple("don't|görg")
    assert inventory.encode(TISCH, None, "anger") is None
    assert inventory.encode(None, "?!", None) is None
    with pytest.raises(PhonemeError, match="'z' is not in the closed inventory"):
        inventory.encode(None, "Zoo", None)


def test_an_utterance_without_phonemes_has_no_target():
    silence = Phonemes(alphabet="ipa", source="test", symbols=())
    for name in NAMES[:4]:
        inventory = make_inventory(name, "ipa", EMOTIONS)
        assert inventory.encode(None, "text", "anger") is None
        assert inventory.encode(silence, "text", "anger") is None


def test_ipa_phonemes_with_an_arpabet_inventory_say_what_to_set():
    inventory = make_inventory("phonemes", "arpabet", ())
    with pytest.raises(PhonemeError, match="alphabet: ipa"):
        inventory.encode(TISCH, None, None)


@pytest.mark.parametrize("name", NAMES[:4])
@pytest.mark.parametrize(("alphabet", "stray"), [("ipa", "aː"), ("arpabet", "AH0")])
def test_an_unknown_symbol_is_named(name, alphabet, stray):
    inventory = make_inventory(name, alphabet, EMOTIONS)
    phonemes = Phonemes(alphabet=alphabet, source="test", symbols=(stray,))
    with pytest.raises(PhonemeError, match=stray):
        inventory.encode(phonemes, None, "anger")


def test_a_blank_in_the_phonemes_is_an_error():
    inventory = make_inventory("phonemes", "ipa", ())
    blank = Phonemes(alphabet="ipa", source="test", symbols=(BLANK,))
    with pytest.raises(PhonemeError, match=BLANK):
        inventory.encode(blank, None, None)


def test_decode_rejects_other_indices():
    inventory = make_inventory("broad", "ipa", ())
    assert inventory.decode([0, 1]) == (BLANK, "vowel")
    for index in (-1, 8):
        with pytest.raises(PhonemeError, match="outside"):
            inventory.decode([index])


@pytest.mark.parametrize(
    ("frames", "indices"),
    [([], ()), ([0, 0], ()), ([1, 1, 0, 1, 2, 2], (1, 1, 2)), ([0, 3, 3, 3], (3,))],
)
def test_collapse(frames, indices):
    assert make_inventory("broad", "ipa", ()).collapse(frames) == indices


@pytest.mark.parametrize(
    ("name", "alphabet", "symbols"),
    [
        ("syllables", "ipa", (BLANK, "a")),
        ("phonemes", "sampa", (BLANK, "a")),
        ("phonemes", "ipa", ("a", "b")),
        ("phonemes", "ipa", (BLANK,)),
        ("phonemes", "ipa", (BLANK, "a", "a")),
    ],
)
def test_broken_inventories_are_refused(name, alphabet, symbols):
    with pytest.raises(PhonemeError):
        PhonemeInventory(name, alphabet, symbols)
    with pytest.raises(PhonemeError):
        PhonemeInventory.from_json({"name": name, "alphabet": alphabet, "symbols": list(symbols)})


@pytest.mark.parametrize("data", [{}, {"symbols": "abc"}, {"symbols": [1, 2]}])
def test_from_json_rejects_other_data(data):
    with pytest.raises(PhonemeError):
        PhonemeInventory.from_json({"name": "phonemes", "alphabet": "ipa", **data})


def test_missing_inputs_of_an_inventory_are_an_error():
    with pytest.raises(PhonemeError, match="transcripts"):
        make_inventory("characters", "ipa", EMOTIONS)
    with pytest.raises(PhonemeError, match="emotions"):
        make_inventory("phoneme_x_emotion", "ipa", ())
    with pytest.raises(PhonemeError, match="alphabet"):
        make_inventory("phonemes", "sampa", ())
    with pytest.raises(PhonemeError, match="syllables"):
        make_inventory("syllables", "ipa", (), ["text"])


def test_inventories_of_older_checkpoints_keep_their_indices():
    older = PhonemeInventory("phonemes", "ipa", (BLANK, "t", "ɪ", "ʃ"))
    assert older.encode(TISCH, None, None) == (1, 2, 3)


# --- real corpora ---


def test_speechocean762_phonemes_are_encoded(shared_folder):
    path = shared_folder / "corpora" / "speechocean762" / "phones.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row["phones"].split() for row in csv.DictReader(stream)]
    assert len(rows) == 5000
    inventory = make_inventory("phonemes", "ipa", ())
    for row in rows:
        symbols = tuple(strip_stress(phone) for phone in row)
        phonemes = Phonemes(alphabet="arpabet", source="speechocean762", symbols=symbols)
        assert units(inventory, phonemes, None, None) == tuple(
            ARPABET_TO_IPA[symbol] for symbol in symbols
        )


@pytest.mark.parametrize("corpus", ["nemo", "emodb", "ravdess", "speechocean762"])
def test_characters_of_real_transcripts(shared_folder, corpus):
    path = shared_folder / "corpora" / corpus / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        texts = sorted({row["transcript"] for row in csv.DictReader(stream)})
    inventory = make_inventory("characters", "ipa", (), texts)
    assert len(inventory) < 45
    for text in texts:
        letters = [character for character in text.lower() if character.isalnum()]
        characters = units(inventory, None, text, None)
        assert [character for character in characters if character.isalnum()] == letters
