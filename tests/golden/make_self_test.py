"""Write the logits that phonemo doctor compares with, after a model that ships has changed.

python -m tests.golden.make_self_test
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from phonemo.runtime.bundle import packaged, packaged_names
from phonemo.runtime.checks.self_test import write_expected
from phonemo.runtime.onnx_recognizer import OnnxRecognizer


def main() -> None:
    """Write the file beside the self-test."""
    folder = Path(str(resources.files("phonemo.runtime.checks")))
    models = {name: OnnxRecognizer.load(packaged(name), threads=1) for name in packaged_names()}
    write_expected(folder / "expected_logits.json", models)


if __name__ == "__main__":
    main()
