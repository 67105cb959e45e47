"""EmoDB with scikit-learn's cross-validation, grouped by speaker, on every layer of a backbone.

    python benchmarks/sklearn_emodb.py [--layer layer.3]

The backbone was not trained on EmoDB. Every layer is reported and none is selected; --layer tests
only one. Leave-one-speaker-out, predictions pooled over the ten folds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from measuring import CORPORA, machine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phonemo.corpora import CORPORA as READERS
from phonemo.integrations.sklearn import SpeechEmbedding

BACKBONE = Path(__file__).resolve().parents[1] / "models" / "phonemo-small-backbone"


def main(layer: str | None) -> int:
    """Print a line for each layer; return the exit status."""
    root = CORPORA / "emodb"
    if not root.is_dir():
        print("needs ../shared/corpora/emodb, which is missing", file=sys.stderr)
        return 1
    rows = READERS["emodb"].read(root).utterances
    files = [root / row.file for row in rows]
    emotions, speakers = [row.emotion for row in rows], [row.speaker for row in rows]
    print(f"{machine()}; {len(rows)} recordings of {len(set(speakers))} speakers")
    for name in [layer] if layer else SpeechEmbedding.layers(BACKBONE):
        vectors = SpeechEmbedding(BACKBONE, name).fit_transform(files)
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))
        cv = LeaveOneGroupOut()
        predicted = cross_val_predict(head, vectors, emotions, groups=speakers, cv=cv)
        ua, wa = balanced_accuracy_score(emotions, predicted), accuracy_score(emotions, predicted)
        print(f"  {name:<8} UA {ua:.1%}  WA {wa:.1%}  ({vectors.shape[1]} features)")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layer", help="test only this layer")
    sys.exit(main(parser.parse_args().layer))
