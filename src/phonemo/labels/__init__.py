"""Emotion labels: canonical names and spellings, label sets, and the labels of other systems."""

from phonemo.labels.foreign_labels import (
    from_audonnx,
    from_emotion2vec,
    from_hume,
    from_sensevoice,
    from_speechbrain,
    from_superb,
    from_transformers,
)
from phonemo.labels.label_sets import (
    EMOTIONS,
    SPELLINGS,
    LabelSet,
    NoLabels,
    canonical_emotion,
    label_set,
    mapped_emotions,
    mapping_note,
    rescale_scores,
)

__all__ = [
    "EMOTIONS",
    "SPELLINGS",
    "LabelSet",
    "NoLabels",
    "canonical_emotion",
    "from_audonnx",
    "from_emotion2vec",
    "from_hume",
    "from_sensevoice",
    "from_speechbrain",
    "from_superb",
    "from_transformers",
    "label_set",
    "mapped_emotions",
    "mapping_note",
    "rescale_scores",
]
