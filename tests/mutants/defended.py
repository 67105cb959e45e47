"""Mutants that no test can kill, because they do the same: each with its reason.

A key is the module, its line and the mutated line, without indentation, so that it outlives
changes elsewhere in the module.
"""

from __future__ import annotations

_LENGTH = "a length is never negative"

DEFENDED: dict[tuple[str, str, str], str] = {
    (
        "runtime/phonemes/alignment.py",
        "if len(best) == 0:",
        "if len(best) <= 0:",
    ): _LENGTH,
    (
        "runtime/timeline.py",
        "if extent is None or not total > 0:",
        "if extent is None or not total != 0:",
    ): "total is a sum of shares of speech, and so never negative",
    (
        "runtime/windows.py",
        "if self.samples < self._start + 2 * self.hop:",
        "if self.samples < self._start + 2 + self.hop:",
    ): "it only saves joining the pieces; the loop below decides whether a window is complete",
    (
        "runtime/windows.py",
        "if self.samples < self._start + 2 * self.hop:",
        "if self.samples < self._start + 1 * self.hop:",
    ): "it only saves joining the pieces; the loop below decides whether a window is complete",
    (
        "evaluation/calibration.py",
        "if scores.ndim != 2 or indices.shape != scores.shape[:1] or len(indices) == 0:",
        "if scores.ndim != 2 or indices.shape != scores.shape[:1] or len(indices) <= 0:",
    ): _LENGTH,
    (
        "evaluation/metrics.py",
        "return 0.0",
        "return -1.0",
    ): "the gap of an empty bin is multiplied by its count, which is zero",
    (
        "model/heads.py",
        "flattening = (square / self.radius**2).clamp(min=1.0) ** (DISTANCE_POWER / 2)",
        "flattening = (square / self.radius**2).clamp(min=1.0) ** (DISTANCE_POWER - 2)",
    ): "half of 4 is 4 less 2",
    (
        "evaluation/calibration.py",
        "colder = _loss(scores, indices, left) <= _loss(scores, indices, right)",
        "colder = _loss(scores, indices, left) < _loss(scores, indices, right)",
    ): "two equal losses have the optimum between them, and both choices keep it",
    (
        "evaluation/metrics.py",
        "best[1:] = np.minimum(best[1:], row[:-1] + unit * (symbols != codes.get(symbol, -1)))",
        "best[1:] = np.minimum(best[1:], row[:-1] + unit * (symbols != codes.get(symbol, - 2)))",
    ): "any number that is no code stands for a symbol that the hypothesis lacks",
    (
        "runtime/phonemes/attribution.py",
        "rows = max(1, _MOST_FEATURES // max(1, left_out.shape[1] * features))",
        "rows = max(1, _MOST_FEATURES // max( 0, left_out.shape[1] * features))",
    ): "a network has at least one feature and a clip one frame",
    (
        "runtime/phonemes/attribution.py",
        "bounds = np.array([(span.start, span.end) for span in spans], dtype=np.float64).reshape(-1, 2)",  # noqa: E501
        "bounds = np.array([(span.start, span.end) for span in spans], dtype=np.float64).reshape(- 2, 2)",  # noqa: E501
    ): "numpy takes any negative length as the unknown one",
    (
        "runtime/phonemes/attribution.py",
        "full = decide(np.ones((1, left_out.shape[1]), dtype=np.bool_))[0]",
        "full = decide(np.ones((1, left_out.shape[1]), dtype=np.bool_))[ -1]",
    ): "there is one row",
    (
        "corpora/groups.py",
        'genders = _genders(utterances, units) if axis == "speaker" else {}',
        'genders = _genders(utterances, units) if axis >= "speaker" else {}',
    ): "no axis sorts after speaker",
    (
        "evaluation/calibration.py",
        "while high - low > 1e-6 * high:",
        "while high - low >= 1e-6 * high:",
    ): "one more halving of an interval that is small enough",
    (
        "runtime/phonemes/attribution.py",
        "_MOST_FEATURES = 2_000_000",
        "_MOST_FEATURES = 1999999",
    ): "a bound of memory, which changes no result",
    (
        "runtime/adaptation/adaptable.py",
        "return Vectors(np.stack(rows) if rows else np.zeros((0, 0), np.float32), seconds)",
        "return Vectors(np.stack(rows) if rows else np.zeros((0, 1), np.float32), seconds)",
    ): "no row has a width",
    (
        "corpora/leakage.py",
        "same=tuple(titles[ids[0]] for ids in groups),",
        "same=tuple(titles[ids[ 1]] for ids in groups),",
    ): "all copies of a recording have the same title",
    (
        "model/losses.py",
        "invalid = indices[(indices <= BLANK) | (indices >= symbols)]",
        "invalid = indices[(indices <= BLANK) ^ (indices >= symbols)]",
    ): "no index is both below the first symbol and beyond the last",
    (
        "runtime/phonemes/edges.py",
        "@cache",
        "",
    ): "it only saves computing the bands again",
    (
        "runtime/phonemes/alignment.py",
        "starts = np.flatnonzero(np.diff(best, prepend=-1)) # the first frame of every run",
        "starts = np.flatnonzero(np.diff(best, prepend=- 2)) # the first frame of every run",
    ): "any negative number differs from the first symbol",
    (
        "runtime/sliding.py",
        "first = 0.0 if window.start == 0 else begin + quarter",
        "first = -1.0 if window.start == 0 else begin + quarter",
    ): "no phoneme lies before the recording",
    (
        "runtime/sliding.py",
        "overall = segment_of(0, samples, self._labels, mean, dimensions=self._dimensions)",
        "overall = segment_of( 1, samples, self._labels, mean, dimensions=self._dimensions)",
    ): "only the label, scores and dimensions of this segment are read",
    (
        "model/losses.py",
        "ABSENT = -100",
        "ABSENT = - 101",
    ): "a mark, which is written and read by its name",
    (
        "model/pooling.py",
        "sequence = zero_padding(sequence, valid > 0)",
        "sequence = zero_padding(sequence, valid != 0)",
    ): "a mask is 0 or 1",
    (
        "model/phoneme_route.py",
        'return sequence.detach() if self.gradient == "none" else sequence',
        'return sequence.detach() if self.gradient >= "none" else sequence',
    ): "no other setting of the gradient sorts after none",
    (
        "model/phoneme_route.py",
        'if use == "fusion" and (layer is None or "semantic" not in FUSIONS[fusion].needs):',
        'if use <= "fusion" and (layer is None or "semantic" not in FUSIONS[fusion].needs):',
    ): "no other use of posteriors sorts before fusion",
    (
        "runtime/phonemes/alignment.py",
        "_LOWEST = -1e4",
        "_LOWEST = - 9999.0",
    ): "any number far below a logarithm of a float32 will do",
    (
        "model/masks.py",
        "means = nn.functional.avg_pool1d(square, grid.field_samples, grid.hop_samples)[:, 0]",
        "means = nn.functional.avg_pool1d(square, grid.field_samples, grid.hop_samples)[:, -1]",
    ): "there is one channel",
    (
        "model/masks.py",
        "speech: Tensor = (power >= reference[:, None] * 10 ** (-RANGE_DB / 10)) & mask",
        "speech: Tensor = (power >= reference[:, None] * 10 ** (-RANGE_DB // 10)) & mask",
    ): "the range is a multiple of 10 dB",
    (
        "runtime/sliding.py",
        "abstain_below: float = 0.0,",
        "abstain_below: float = -1.0,",
    ): "no score is below either",
    (
        "runtime/sliding.py",
        "no_speech = self._weight == 0",
        "no_speech = self._weight <= 0",
    ): "a sum of seconds is never negative",
    (
        "runtime/windows.py",
        "covered = 0 if self._start == 0 else self._start + self.hop",
        "covered = 0 if self._start <= 0 else self._start + self.hop",
    ): "a position is never negative",
    (
        "runtime/windows.py",
        "if self.samples < self._start + 2 * self.hop:",
        "if self.samples < self._start + 2 - self.hop:",
    ): "it only saves joining the pieces, which their caller hands over",
    (
        "corpora/given_split.py",
        'leaky = protocol.name == "given-leaky"',
        'leaky = protocol.name >= "given-leaky"',
    ): "the other protocol of given splits, given, sorts before it",
    (
        "corpora/groups.py",
        "if len(units) < len(values):",
        "if len(units) != len(values):",
    ): "the units are those of some of the utterances",
    (
        "corpora/splits.py",
        'role = {(number + n) % count: "validation" for n in range(1, protocol.validation_units + 1)}',  # noqa: E501
        'role = {(number + n) % count: "validation" for n in range( 0, protocol.validation_units + 1)}',  # noqa: E501
    ): "the next line makes the part of that number the test part",
    (
        "model/losses.py",
        "if size > 0:",
        "if size != 0:",
    ): "a sum of class weights, which are positive",
    (
        "runtime/phonemes/attribution.py",
        "_MOST_FEATURES = 2_000_000",
        "_MOST_FEATURES = 2000001",
    ): "a bound of memory, which changes no result",
    (
        "corpora/leakage.py",
        "same=tuple(titles[ids[0]] for ids in groups),",
        "same=tuple(titles[ids[ -1]] for ids in groups),",
    ): "all copies of a recording have the same title",
    (
        "evaluation/metrics.py",
        "upper = np.arange(1, bins + 1) / bins",
        "upper = np.arange(1, bins ** 1) / bins",
    ): "what is above all bounds is in the last bin",
    (
        "evaluation/calibration.py",
        "total = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, 0]",
        "total = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, -1]",
    ): "there is one column",
}
