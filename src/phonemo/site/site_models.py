"""The models of a site: bundles, each with everything that the browser needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from phonemo.errors import UsageError, safe_name
from phonemo.files import dumps_json
from phonemo.runtime.bundle import ADAPTATION, CARD, DECODER, HEAD, MODEL, Bundle, open_bundle
from phonemo.runtime.onnx_recognizer import decoder_of
from phonemo.runtime.phonemes.languages import language_names, language_text
from phonemo.site.packing import SiteFile, packed


def open_models(folders: Iterable[Path]) -> list[Bundle]:
    """Open bundles.

    Raises:
        CheckpointError: a bundle is missing or broken.
        UsageError: two have the same name, or a name that is no file name.
    """
    bundles = [open_bundle(folder) for folder in folders]
    names = [bundle.card.name for bundle in bundles]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"expected models with different names, got two named {name}; export one of them "
                "with another --name"
            )
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise UsageError(
                f"{safe_name(name)}: expected a model whose name has letters, digits, - and _ "
                "only; export it with another --name"
            )
    return bundles


def model_files(bundles: Iterable[Bundle]) -> Iterator[tuple[dict[str, Any], list[SiteFile]]]:
    """Yield each model's entry in site.json and its files; a shared network is written once."""
    networks: dict[str, SiteFile] = {}
    for index, bundle in enumerate(bundles):
        card, folder = bundle.card, f"models/{bundle.card.name}"
        known = card.sha256 in networks
        network = networks.setdefault(card.sha256, packed(f"{folder}/{MODEL}", bundle.model))
        parts = {HEAD: bundle.head, ADAPTATION: bundle.adaptation, DECODER: bundle.decoder}
        files = {
            CARD: SiteFile(f"{folder}/{CARD}", (bundle.folder / CARD).read_bytes()),
            MODEL: network,
            **{
                name: SiteFile(f"{folder}/{name}", content)
                for name, content in parts.items()
                if content is not None
            },
        }
        own = [file for file in files.values() if not (known and file is network)]
        own += [SiteFile(f"{folder}/LICENSE.txt", _licence(bundle))]
        yield _entry(bundle, files, index == 0), own


def _entry(bundle: Bundle, files: dict[str, SiteFile], default: bool) -> dict[str, Any]:
    card = bundle.card
    return {
        "id": card.name,
        "licence": card.licence,
        "default": default,
        "profiles": bundle.adaptation is not None,
        "window_seconds": card.window_seconds,
        "abstain_below": card.abstain_below,
        "labels": list(card.labels),
        "decodings": list(decoder_of(bundle).decodings),
        "files": {name: file.to_dict() for name, file in files.items()},
    }


def language_files() -> dict[str, SiteFile]:
    """Phoneme statistics by spoken language, which the page can choose."""
    return {
        name: packed(f"languages/{name}.json", language_text(name)) for name in language_names()
    }


def _licence(bundle: Bundle) -> bytes:
    """The model's notice, or the name of its license."""
    notice = bundle.folder / "NOTICE.md"
    if notice.is_file():
        return notice.read_bytes()
    return dumps_json({"model": bundle.card.name, "licence": bundle.card.licence}).encode()
