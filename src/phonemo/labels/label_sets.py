"""Label sets: ordered emotion names, their indices, and merges."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from phonemo.errors import LabelError, safe_text

#: The canonical emotion names. Every corpus reader maps its own codes to these.
EMOTIONS = (
    "anger",
    "boredom",
    "calm",
    "disgust",
    "excited",
    "fear",
    "frustration",
    "happiness",
    "neutral",
    "other",
    "sadness",
    "surprise",
)

#: Canonical name -> its other spellings: short codes of corpora, and words of several languages.
#: Case, accents written as letters (ae for ä), hyphens and underscores do not matter.
SPELLINGS: dict[str, str] = {
    "anger": "ang angry wut wütend wuetend ärger aerger verärgert veraergert zorn zornig rabbia "
    "arrabbiato arrabbiata ira enojo enojado enojada enfado enfadado enfadada colère colere "
    "en_colère fâché gniew złość zlosc zły raiva zangado zangada 生气 愤怒 生氣 憤怒 гнев злость "
    "ghussa gussa "
    "öfke öfkeli kızgın kizgin 怒り 분노 화남 गुस्सा क्रोध غضب",
    "boredom": "bor bored boring langeweile gelangweilt noia annoiato annoiata aburrimiento "
    "aburrido aburrida ennui nuda znudzenie tédio tedio 无聊 厌倦 無聊 скука "
    "退屈 지루함",
    "calm": "cal calmness ruhig ruhe gelassen calma calmo tranquillo tranquilla tranquillità "
    "tranquilo calme spokój spokoj spokojny 平静 平靜 спокойствие sukoon",
    "disgust": "dis disg disgusted ekel angeekelt disgusto disgustato disgustata schifo asco "
    "dégoût degout dégoûté wstręt wstret obrzydzenie nojo 厌恶 厭惡 恶心 отвращение "
    "iğrenme tiksinme 嫌悪 혐오 اشمئزاز",
    "excited": "exc excite excitement aufgeregt aufregung begeistert eccitato eccitazione "
    "emocionado excitation excité podekscytowanie podekscytowany 兴奋 興奮 激动",
    "fear": "fea fearful afraid scared angst furcht ängstlich aengstlich verängstigt paura "
    "impaurito spaventato miedo temor asustado peur effrayé strach lęk medo 恐惧 害怕 恐懼 страх "
    "khauf khof "
    "korku korkmuş 恐怖 恐れ 두려움 공포 डर भय خوف",
    "frustration": "fru frustrated frustriert frustrazione frustrato frustración frustracion "
    "frustrado frustré frustracja frustração 沮丧 沮喪 挫败 фрустрация",
    "happiness": "hap happy joy joyful joyous glücklich gluecklich freude froh fröhlich froehlich "
    "gioia felicità felicita felice alegría alegria alegre felicidad feliz joie joyeux joyeuse "
    "heureux heureuse bonheur radość radosc szczęście szczescie szczęśliwy felicidade 高兴 快乐 "
    "开心 高興 快樂 開心 喜悦 радость счастье khushi "
    "mutlu mutluluk 喜び 幸せ 행복 기쁨 खुशी सुख سعادة فرح",
    "neutral": "neu neut ntr neutrality no_emotion neutrale neutralità neutralita neutro neutra "
    "neutre neutralny neutralność neutralnosc 中性 中立 нейтрально нейтральный нейтральная "
    "nötr notr 中立的 중립 तटस्थ محايد",
    "other": "oth others andere sonstige altro altri otro otra autre inne outro outra 其他 其它 "
    "другое",
    "sadness": "sad sorrow trauer traurig traurigkeit tristezza triste tristeza tristesse smutek "
    "smutny smutna 悲伤 难过 伤心 悲傷 難過 傷心 грусть печаль udaas udasi "
    "üzgün üzüntü uzgun 悲しみ 슬픔 दुख उदास حزن",
    "surprise": "sur surp surprised ps pleasant_surprise pleasant_surprised astonished "
    "astonishment überraschung ueberraschung überrascht ueberrascht erstaunt sorpresa sorpreso "
    "sorprendido sorprendida étonnement surpris zaskoczenie zdziwienie zaskoczony surpresa "
    "surpreso 惊讶 惊奇 吃惊 驚訝 удивление hairat "
    "şaşkın şaşkınlık saskin 驚き 놀람 आश्चर्य دهشة",
}


def canonical_emotion(word: str) -> str:
    """Return the canonical name of an emotion; an unknown word is only stripped and lowercased.

    Codes that a corpus defines by itself, such as RAVDESS's numbers, belong to its reader.
    """
    return _BY_SPELLING.get(_simple(word)) or word.strip().lower()


def mapped_emotions(words: Iterable[str]) -> dict[str, str]:
    """Return the words that have another canonical name, with that name, in their order."""
    names = {word: canonical_emotion(word) for word in words}
    return {word: name for word, name in names.items() if name != word}


def mapping_note(mapped: Mapping[str, str]) -> str:
    """Describe a mapping for a message: "Angry -> anger, hap -> happiness"."""
    return ", ".join(f"{safe_text(word)} -> {name}" for word, name in mapped.items())


def _simple(word: str) -> str:
    """Lower case, with single underscores between the words."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFC", word).strip().lower()).strip("_")


_BY_SPELLING = {
    spelling: name for name, words in SPELLINGS.items() for spelling in (name, *words.split())
}

#: Unknown words that a message lists, and the longest that is compared with all spellings.
_MOST_SHOWN, _LONGEST_WORD = 5, 40
_NEAR_SPELLING = 0.8


@dataclass(frozen=True)
class LabelSet:
    """Emotions in a fixed order; merges are applied before the lookup.

    ``LabelSet(("anger", "happiness"), {"excited": "happiness"})`` gives "excited" the index 1.

    Raises:
        LabelError: fewer than two names, repeated names, a merge into an unknown name, or a merge
            of a name in the list (its own output could never be correct).
    """

    names: tuple[str, ...]
    merge: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise LabelError(f"expected at least two labels, got {len(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise LabelError(f"labels are repeated: {', '.join(self.names)}")
        unknown = sorted(set(self.merge.values()) - set(self.names))
        if unknown:
            raise LabelError(f"merge into unknown label {unknown[0]!r}; labels: {self}")
        ambiguous = [old for old, new in self.merge.items() if old in self.names and old != new]
        if ambiguous:
            raise LabelError(
                f"{ambiguous[0]!r} is a label and also merged into {self.merge[ambiguous[0]]!r}; "
                "remove it from the labels or from the merges"
            )

    def __str__(self) -> str:
        return ", ".join(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, emotion: object) -> bool:
        return emotion in self.names or emotion in self.merge

    def index(self, emotion: str) -> int:
        """Return the index of an emotion after merging; LabelError if there is none."""
        name = self.merge.get(emotion, emotion)
        if name not in self.names:
            raise self._unknown([emotion])
        return self.names.index(name)

    def spelled(self, words: Iterable[str]) -> dict[str, str]:
        """Return the words that are other spellings of a label, with it: Angry -> anger."""
        labels = {canonical_emotion(name): self.merged(name) for name in (*self.merge, *self.names)}
        return {
            word: labels[canonical_emotion(word)]
            for word in words
            if word not in self and canonical_emotion(word) in labels
        }

    def resolved(self, words: Iterable[str]) -> tuple[str, ...]:
        """Return the labels that words stand for, in any spelling; LabelError for unknown words."""
        given = tuple(words)
        spelled = self.spelled(given)
        names = tuple(spelled.get(word, word) for word in given)
        self._check(names)
        return names

    def _check(self, words: Iterable[str]) -> None:
        unknown = [word for word in dict.fromkeys(words) if word not in self]
        if unknown:
            raise self._unknown(unknown)

    def _unknown(self, words: Sequence[str]) -> LabelError:
        """An error with all unknown words, and the label that each probably stands for."""
        if len(words) == 1:
            return LabelError(f"unknown label {words[0]!r}; {self._hint(words[0])}labels: {self}")
        shown = [f"{word!r} ({self._hint(word).strip()})" for word in words[:_MOST_SHOWN]]
        listed = ", ".join(shown).replace(" ()", "")
        more = f" and {len(words) - _MOST_SHOWN} more" if len(words) > _MOST_SHOWN else ""
        return LabelError(f"unknown labels {listed}{more}; labels: {self}")

    def _hint(self, word: str) -> str:
        """The label that was probably meant."""
        from difflib import get_close_matches

        if len(word) > _LONGEST_WORD:
            return ""
        canonical = canonical_emotion(word)
        near = get_close_matches(canonical, self.names, 1)
        if not near:
            spellings = [one for one, name in _BY_SPELLING.items() if name in self]
            similar = get_close_matches(canonical, spellings, 1, _NEAR_SPELLING)
            near = [_BY_SPELLING[spelling] for spelling in similar]
        meant = canonical if canonical in self else near[0] if near else None
        return "" if meant is None else f"did you mean {self.merged(meant)!r}? "

    def merged(self, emotion: str) -> str:
        """Return the label of an emotion after merging."""
        return self.names[self.index(emotion)]

    def restrict(self, names: Iterable[str]) -> LabelSet:
        """Keep only these names, in the same order; LabelError for an unknown one."""
        chosen = tuple(names)
        self._check(chosen)
        indices = sorted({self.index(name) for name in chosen})
        kept = tuple(self.names[index] for index in indices)
        return LabelSet(kept, {old: new for old, new in self.merge.items() if new in kept})


@dataclass(frozen=True)
class NoLabels(LabelSet):
    """The empty set of a network that gives rated dimensions and no emotions."""

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Accept the empty set."""

    def __str__(self) -> str:
        return "none"


def label_set(names: Iterable[str], merge: Mapping[str, str]) -> LabelSet:
    """Return the set of these names; without any, that of a network without emotions."""
    names = tuple(names)
    return LabelSet(names, merge) if names or merge else NoLabels()


def rescale_scores(scores: dict[str, float], names: Iterable[str]) -> dict[str, float]:
    """Rescale the scores of some emotions to sum to one.

    Raises:
        LabelError: an emotion without a score, fewer than two, or a sum of 0.
    """
    emotions = LabelSet(tuple(scores)).restrict(names).names
    total = sum(scores[name] for name in emotions)
    if not total > 0:
        raise LabelError(f"all scores of {', '.join(emotions)} are 0; add other emotions")
    return {name: scores[name] / total for name in emotions}
