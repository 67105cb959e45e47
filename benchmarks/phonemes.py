"""How well phonemes are recognized and timed: error rates by decoder, boundary errors by class.

    python benchmarks/phonemes.py BUNDLE --manifest work/speechocean762.jsonl --split test \
        --decoder work/decoder/phonemes.npz
    python benchmarks/phonemes.py src/phonemo/models/phonemo-open --split test --language english \
        --manifest work/speechocean762.jsonl
    python benchmarks/phonemes.py BUNDLE --manifest work/emodb.jsonl --picture boundaries.png

BUNDLE is a bundle or a model folder. Only speakers that it was not trained on are tested, so that a
provenance.json must name those it was trained on; --seen tests all, and the first line says so. The
decoder's language model comes from the bundle or from another one's phonemes.npz (``phonemo export
--decoder``); --language adds one that ships with phonemo.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from phonemo.audio import RATE
from phonemo.audio.frames import FrameGrid
from phonemo.corpora.g2p.alphabets import IPA_CLASS
from phonemo.corpora.manifest import Utterance, read_manifest
from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import ModelError, PhonemoError, UsageError
from phonemo.evaluation.calibration import log_softmax
from phonemo.evaluation.metrics import phoneme_errors
from phonemo.evaluation.phonemes.confusions import confusion_lines, confusions_of
from phonemo.runtime.bundle import is_bundle
from phonemo.runtime.phonemes.alignment import align, decode_phonemes, fewest_frames, to_spans
from phonemo.runtime.phonemes.beam_search import decode_with
from phonemo.runtime.phonemes.edges import refine_spans
from phonemo.runtime.phonemes.language_model import PhonemeModel, uniform_model, unpacked_model
from phonemo.runtime.phonemes.languages import language_model, language_names
from phonemo.train.provenance import Provenance, overlap_of, provenance_of

RESAMPLES = 1000
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Clip:
    """A tested utterance."""

    utterance: Utterance
    reference: tuple[int, ...]
    posteriors: Floats
    """Natural logarithms, (frame, phoneme)."""
    samples: Any


@dataclass(frozen=True)
class Boundary:
    """A hand-made boundary and the error of the aligned one in milliseconds."""

    speaker: str
    kind: str
    """The classes on both sides."""
    error: float


@dataclass(frozen=True)
class Network:
    """What computes posteriors."""

    inventory: PhonemeInventory
    grid: FrameGrid
    posteriors: Callable[[Any], Floats]
    """Samples to natural logarithms, (frame, phoneme)."""
    decoder: bytes | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parse(arguments)
    network = open_network(options.model)
    clips = list(_clips(options, network))
    if not clips:
        raise UsageError(
            f"{options.manifest}: no utterance to test; name other speakers, or --seen"
        )
    speakers = {clip.utterance.speaker for clip in clips}
    seen = ", trained-on speakers included" if options.seen else ""
    print(f"{options.manifest}: {len(clips)} utterances of {len(speakers)} speakers{seen}")
    report_errors(clips, network, options)
    if not any(clip.utterance.phonemes and clip.utterance.phonemes.times for clip in clips):
        return
    if (network.inventory.name, network.inventory.alphabet) == ("phonemes", "ipa"):
        report_boundaries(clips, network, options.picture)
    else:
        print(
            f"boundaries: not measured, expected phonemes in ipa, got {network.inventory.name} in "
            f"{network.inventory.alphabet}"
        )


def report_errors(clips: Sequence[Clip], network: Network, options: argparse.Namespace) -> None:
    """Print the error rate and the commonest errors of each way to decode."""
    seconds = sum(len(clip.samples) for clip in clips) / RATE
    decodings: dict[str, Callable[[Clip], tuple[int, ...]]] = {
        "best path": lambda clip: tuple(item.symbol for item in decode_phonemes(clip.posteriors))
    }
    for name, model in _language_models(network, options):
        decodings[f"{name}, {model.settings}"] = partial(_searched, model)
    for name, decode in decodings.items():
        began = process_time()
        recognized = [network.inventory.decode(decode(clip)) for clip in clips]
        cost = 1000 * (process_time() - began) / seconds
        references = [network.inventory.decode(clip.reference) for clip in clips]
        total = phoneme_errors(references, recognized)
        low, high = _interval(clips, references, recognized)
        print(
            f"{name}: PER {100 * total.rate:.1f} % ({low:.1f} to {high:.1f}), "
            f"{total.substitutions} substitutions, {total.deletions} deletions, "
            f"{total.insertions} insertions of {total.tokens}; {cost:.2f} ms a second of audio"
        )
        for line in confusion_lines(confusions_of(references, recognized)):
            print(line)


def report_boundaries(clips: Sequence[Clip], network: Network, picture: Path | None) -> None:
    """Print the median boundary error of both kinds of edges, by class; draw both."""
    timed = [clip for clip in clips if clip.utterance.phonemes and clip.utterance.phonemes.times]
    found = {
        name: [error for clip in timed for error in _boundaries(clip, network, name == "waveform")]
        for name in ("posteriors", "waveform")
    }
    for name, errors in found.items():
        sizes = np.abs([one.error for one in errors])
        low, high = _median_interval(errors)
        print(
            f"edges from {name}: median {np.median(sizes):.1f} ms ({low:.1f} to {high:.1f}), "
            f"within 20 ms {100 * np.mean(sizes <= 20):.1f} %, "
            f"40 ms {100 * np.mean(sizes <= 40):.1f} %, of {len(errors)}"
        )
    print("| boundary | count | posteriors: median error, signed | waveform |")
    print("| --- | --- | --- | --- |")
    kinds = [one.kind for one in found["posteriors"]]
    for kind in sorted(set(kinds), key=lambda name: -kinds.count(name)):
        if kinds.count(kind) >= 100:
            cells = [_kind_cell(errors, kind) for errors in found.values()]
            print(f"| {kind} | {kinds.count(kind)} | {cells[0]} | {cells[1]} |")
    if picture is not None:
        draw(found, picture)


def draw(found: dict[str, list[Boundary]], path: Path) -> None:
    """Histograms of the signed errors."""
    from phonemo.evaluation.plots import BLUE, VERMILION, make_figure, save_figure

    figure = make_figure(6.5, 3.6)
    axes = figure.add_subplot()
    bins = np.arange(-80, 81, 4)
    for (name, errors), color in zip(found.items(), (BLUE, VERMILION), strict=True):
        sizes = np.array([one.error for one in errors])
        label = f"{name}: median {np.median(np.abs(sizes)):.1f} ms"
        axes.hist(sizes, bins, histtype="step", color=color, label=label, linewidth=1.5)
    axes.set(xlabel="aligned minus hand-made boundary, ms", ylabel="boundaries")
    axes.legend()
    save_figure(figure, path)


def open_network(folder: Path) -> Network:
    """A bundle, or a model folder in torch.

    Raises:
        ModelError: it has no phoneme head.
    """
    if is_bundle(folder):
        from phonemo.runtime.onnx_recognizer import OnnxRecognizer

        bundle = OnnxRecognizer.load(folder, threads=1)
        if bundle.card.inventory is None:
            raise ModelError(f"{folder}: expected a phoneme head, got none")
        inventory = PhonemeInventory.from_json(bundle.card.inventory.model_dump())
        path = folder / "phonemes.npz"
        return Network(
            inventory,
            bundle.card.grid,
            lambda samples: log_softmax(bundle.logits(samples).phonemes),
            path.read_bytes() if path.is_file() else None,
        )
    import torch

    from phonemo.train.model_folder import load_trained

    trained = load_trained(folder)
    if trained.inventory is None:
        raise ModelError(f"{folder}: expected a phoneme head, got none")

    def posteriors(samples: Any) -> Floats:
        with torch.inference_mode():
            output = trained.model(torch.from_numpy(np.array(samples, np.float32))[None])
        return output.phoneme_logits[0].double().log_softmax(1).numpy()

    return Network(trained.inventory, trained.model.backbone.grid, posteriors)


def _language_models(
    network: Network, options: argparse.Namespace
) -> Iterator[tuple[str, PhonemeModel]]:
    """None, the bundle's or that of --decoder, and the packaged one of --language."""
    yield "beam search", uniform_model(len(network.inventory))
    content = options.decoder.read_bytes() if options.decoder else network.decoder
    if content is not None:
        name = f"phonemes.npz of {len(content) / 1e3:.0f} kB"
        yield name, unpacked_model(content, len(network.inventory))
    if options.language:
        yield options.language, language_model(options.language, tuple(network.inventory.symbols))


def _searched(model: PhonemeModel, clip: Clip) -> tuple[int, ...]:
    return tuple(item.symbol for item in decode_with(clip.posteriors, model))


def _clips(options: argparse.Namespace, network: Network) -> Iterable[Clip]:
    manifest = read_manifest(options.manifest)
    taught = Provenance() if options.seen else _training_data(options)
    for row in manifest.utterances[:: options.every]:
        reference = network.inventory.encode(row.phonemes, row.transcript, row.emotion)
        if not reference or options.split not in (None, row.split):
            continue
        if any(overlap_of(taught, manifest, [row])):
            continue
        waveform = load_utterance(manifest, row)
        yield Clip(row, reference, network.posteriors(waveform.samples), waveform.samples)


def _training_data(options: argparse.Namespace) -> Provenance:
    """What the network was trained on; its utterances and speakers are not tested.

    Raises:
        UsageError: no provenance.json says it.
    """
    folder = options.provenance or options.model
    provenance = provenance_of(folder)
    if not provenance.taught:
        raise UsageError(
            f"{folder}: expected a provenance.json with the training speakers, got none; name "
            "the folder of the trained model with --provenance, or test all speakers with --seen"
        )
    return provenance


def _boundaries(clip: Clip, network: Network, refined: bool) -> Iterable[Boundary]:
    """Errors at the boundaries of phonemo.evaluation.metrics.boundary_errors, signed."""
    phonemes = clip.utterance.phonemes
    assert phonemes is not None
    assert phonemes.times is not None
    if fewest_frames(clip.reference) > len(clip.posteriors):
        return
    symbols = network.inventory.symbols
    aligned = align(clip.posteriors, clip.reference)
    spans = to_spans(aligned, clip.posteriors, symbols, network.grid, len(clip.samples))
    spans = refine_spans(spans, clip.samples) if refined else spans
    times, kinds = phonemes.times, [IPA_CLASS[span.symbol] for span in spans]
    speaker = clip.utterance.speaker or ""

    def boundary(left: str, right: str, hand: float, *ours: float) -> Boundary:
        errors = [1000 * (one - hand) for one in ours]
        size = np.mean(np.abs(errors))
        return Boundary(speaker, f"{left} {right}", float(np.copysign(size, np.sum(errors))))

    yield boundary("pause", kinds[0], times[0][0], spans[0].start)
    for number in range(len(times) - 1):
        end, start = times[number][1], times[number + 1][0]
        left, right = kinds[number], kinds[number + 1]
        ours = spans[number].end, spans[number + 1].start
        if abs(start - end) < 1e-3:
            yield boundary(left, right, end, *ours)
        else:
            yield boundary(left, "pause", end, ours[0])
            yield boundary("pause", right, start, ours[1])
    yield boundary(kinds[-1], "pause", times[-1][1], spans[-1].end)


def _kind_cell(errors: Sequence[Boundary], kind: str) -> str:
    signed = np.array([one.error for one in errors if one.kind == kind])
    return f"{np.median(np.abs(signed)):.1f}, {np.median(signed):+.1f}"


def _interval(clips: Sequence[Clip], references: Any, recognized: Any) -> tuple[float, float]:
    """95 % of the error rates over resampled speakers, in per cent."""
    speakers = sorted({clip.utterance.speaker or "" for clip in clips})
    counts = {name: np.zeros(2) for name in speakers}
    for clip, reference, hypothesis in zip(clips, references, recognized, strict=True):
        errors = phoneme_errors([reference], [hypothesis])
        counts[clip.utterance.speaker or ""] += (errors.rate * errors.tokens, errors.tokens)
    table = np.array([counts[name] for name in speakers])
    draws = np.random.default_rng(1).integers(0, len(table), (RESAMPLES, len(table)))
    sums = table[draws].sum(axis=1)
    low, high = np.quantile(100 * sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return float(low), float(high)


def _median_interval(errors: Sequence[Boundary]) -> tuple[float, float]:
    """95 % of the medians over resampled speakers, in milliseconds."""
    speakers = sorted({one.speaker for one in errors})
    sizes = {
        name: np.abs([one.error for one in errors if one.speaker == name]) for name in speakers
    }
    draws = np.random.default_rng(1).integers(0, len(speakers), (RESAMPLES, len(speakers)))
    medians = [np.median(np.concatenate([sizes[speakers[n]] for n in draw])) for draw in draws]
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a bundle or a model folder")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", help="only the manifest's part: train, validation or test")
    parser.add_argument(
        "--provenance", type=Path, help="folder of the provenance.json; default: model"
    )
    parser.add_argument("--decoder", type=Path, help="a phonemes.npz; default: the bundle's")
    parser.add_argument("--language", choices=language_names(), help="a packaged language model")
    parser.add_argument("--seen", action="store_true", help="test speakers trained on, too")
    parser.add_argument("--every", type=int, default=1, help="only each n-th utterance")
    parser.add_argument("--picture", type=Path, help="draw the boundary errors into this PNG")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except PhonemoError as error:
        sys.exit(f"phonemes: {error}")
