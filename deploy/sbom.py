"""Write the app's software bill of materials (CycloneDX 1.6): `make sbom`.

    .venv-tools/bin/python deploy/sbom.py .venv-app/bin/python build/sbom.json

cyclonedx-py lists the packages of an environment that contains only the app. This script adds what
it cannot see: phonemo's version, the weights in its wheel, and the native decoding and resampling
libraries inside other wheels.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
#: Run by the app's Python; prints its components.
_LIST_COMPONENTS = """
import json, soundfile, soxr, phonemo
from phonemo.runtime.bundle import open_bundle, packaged
bundle = open_bundle(packaged())
print(json.dumps({
    "phonemo": phonemo.__version__,
    "libsndfile": soundfile.__libsndfile_version__,
    "libsoxr": soxr.__libsoxr_version__,
    "card": bundle.card.model_dump(mode="json"),
}))
"""
_LIBRARIES = {
    "libsndfile": ("soundfile", "LGPL-2.1-or-later"),
    "libsoxr": ("soxr", "LGPL-2.1-or-later"),
}


def main(python: str, target: str) -> None:
    """Write the bill and print a summary."""
    bill = json.loads(_packages(python))
    result = subprocess.run(
        [python, "-I", "-c", _LIST_COMPONENTS], check=True, capture_output=True, text=True
    )
    facts = json.loads(result.stdout)
    bill["metadata"]["component"]["version"] = facts["phonemo"]
    bill["components"] += [_library(name, facts[name]) for name in _LIBRARIES]
    bill["components"].append(_weights(facts["card"]))
    _add_dependencies(bill)
    text = json.dumps(bill, indent=1, ensure_ascii=False) + "\n"
    if (fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        sys.exit(f"the bill is not valid CycloneDX: {str(fault).splitlines()[0]}")
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(text, encoding="utf-8")
    print(f"{target}: phonemo {facts['phonemo']} and {len(bill['components'])} components")


def _packages(python: str) -> bytes:
    command = [sys.executable, "-m", "cyclonedx_py", "environment", python]
    command += ["--pyproject", str(PYPROJECT), "--mc-type", "application"]
    command += ["--output-reproducible", "--spec-version", "1.6", "--output-file", "-"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def _library(name: str, version: str) -> dict[str, Any]:
    version = version.removeprefix(f"{name}-")
    wheel, licence = _LIBRARIES[name]
    return {
        "type": "library",
        "bom-ref": name,
        "name": name,
        "version": version,
        "description": f"native code inside the wheel of {wheel}",
        "licenses": [{"license": {"id": licence}}],
        "purl": f"pkg:generic/{name}@{version}",
    }


def _weights(card: dict[str, Any]) -> dict[str, Any]:
    files = {"model.onnx": card["sha256"], "head.onnx": card["head_sha256"]}
    parts = [
        {
            "type": "file",
            "bom-ref": f"{card['name']}/{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for name, digest in files.items()
        if digest
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": card["name"],
        "name": card["name"],
        "version": card["phonemo"],
        "description": "the weights in the wheel; models/phonemo-small/README.md is their card",
        "licenses": [{"license": {"name": card["licence"]}}],
        "components": parts,
    }


def _add_dependencies(bill: dict[str, Any]) -> None:
    """Add the dependencies: the root on the weights, two packages on their libraries."""
    needs = {entry["ref"]: entry for entry in bill["dependencies"]}
    refs = {part["name"]: part["bom-ref"] for part in bill["components"]}
    model = next(part for part in bill["components"] if part["type"] == "machine-learning-model")
    root = needs[bill["metadata"]["component"]["bom-ref"]]
    root["dependsOn"] = sorted({*root.get("dependsOn", ()), model["bom-ref"]})
    for name, (wheel, _) in _LIBRARIES.items():
        entry = needs[refs[wheel]]
        entry["dependsOn"] = sorted({*entry.get("dependsOn", ()), name})
        bill["dependencies"].append({"ref": name})
    bill["dependencies"].append({"ref": model["bom-ref"]})


if __name__ == "__main__":
    main(*sys.argv[1:])
