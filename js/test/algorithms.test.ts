/** The algorithms compute what Python computes, by the golden files. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { align, decodePhonemes } from "../src/alignment.ts"
import { framesWithin, withShares } from "../src/attribution.ts"
import { decodeWith } from "../src/beam_search.ts"
import { flattened, logSoftmax, softmax } from "../src/calibration.ts"
import { dimensionData, dimensionReader } from "../src/dimensions.ts"
import { withDoubt } from "../src/doubt.ts"
import { FrameGrid } from "../src/frames.ts"
import { modelOfContent, uniformModel, unpackedModel } from "../src/language_model.ts"
import { boostQuiet, deviationOf, LevelMeter } from "../src/levels.ts"
import { timePhonemes } from "../src/phoneme_times.ts"
import { among, predictionData, segmentData, top } from "../src/prediction.ts"
import { checkedProfile, markOf, profileOf, profileStatistics } from "../src/profile.ts"
import { digestOf, headLogits } from "../src/reference.ts"
import type { Reference } from "../src/reference.ts"
import { resample, Resampler } from "../src/resampler.ts"
import { affineOf, estimate, moments, shrinkTowards } from "../src/statistics.ts"
import { Timeline } from "../src/timeline.ts"
import { VadTrack } from "../src/vad.ts"
import { joined } from "../src/vectors.ts"
import { SlidingWindows } from "../src/windows.ts"
import { assertClose, assertRefused, checksum, GOLDEN, golden, pieces, signal } from "./golden.ts"

test("signals are the same bit by bit", () => {
  for (const [name, { sha256 }] of Object.entries<any>(golden("signals")))
    assert.equal(checksum(signal(name)), sha256, name)
})

test("quiet clips are amplified and levels give the same warnings", () => {
  for (const { signal: name, ...expected } of golden("levels")) {
    const samples = signal(name)
    const meter = new LevelMeter()
    meter.updateRaw(samples)
    meter.updateMono(samples)
    const boosted = boostQuiet(samples)
    const middle = Math.floor(samples.length / 2)
    assertClose(
      {
        deviation: deviationOf(samples),
        boosted: boosted !== samples,
        middle: Array.from(boosted.subarray(middle, middle + 4)),
        warnings: meter.warnings(),
      },
      expected,
      1e-6,
      name,
    )
  }
})

test("voice activity is the same for clips and for streams of any pieces", () => {
  for (const { signal: name, piece, flags, share, part, seconds, extent } of golden("vad")) {
    const samples = signal(name)
    const track = piece ? new VadTrack() : VadTrack.ofClip(samples)
    if (piece) for (const one of pieces(samples, piece)) track.push(one)
    assert.equal(track.flags.join(""), flags, `${name} ${piece}`)
    assert.equal(track.share(0, samples.length), share)
    assert.equal(track.seconds(part[0], part[1]), seconds)
    assert.deepEqual(track.extent(part[0], part[1]), extent)
  }
})

test("windows are the same for pieces of any size", () => {
  for (const { samples, window_seconds, piece, hop, windows } of golden("windows")) {
    const cutter = new SlidingWindows(window_seconds)
    const found = [...pieces(new Float32Array(samples), piece)].flatMap((one) => cutter.push(one))
    found.push(...cutter.finish())
    assert.equal(cutter.hop, hop)
    assert.deepEqual(found.map((window) => [window.start, window.samples.length]), windows)
  }
})

test("the timeline closes the same segments at the same window", () => {
  for (const { labels, hop, samples, flags, windows, closed } of golden("timeline")) {
    const track = new VadTrack()
    track.flags.push(...Array.from(flags as string, Number))
    const line = new Timeline(labels, hop, (start, end) => track.extent(start, end), dimensionReader(labels))
    const steps = windows.map((window: any) => line.add(window).map(segmentData))
    assertClose([...steps, line.finish(samples).map(segmentData)], closed)
  }
})

test("phonemes are decoded, aligned and timed like in Python", () => {
  const { grid: place, cases } = golden("alignment")
  const grid = new FrameGrid(place.field_samples, place.hop_samples)
  for (const { log_posteriors: scores, samples, ...expected } of cases) {
    const decoded = decodePhonemes(scores)
    const aligned = align(scores, expected.said)
    const rows = (found: any[]): any[] => found.map((one) => [one.symbol, one.first, one.last, one.confidence])
    const times = (found: any[], rule?: string): any[] =>
      timePhonemes(found, scores, grid, samples, rule).map((one) => [one.symbol, one.startSample, one.endSample])
    assertClose(rows(decoded), expected.decoded)
    assertClose(rows(aligned), expected.aligned)
    for (const rule of Object.keys(expected.timed)) assert.deepEqual(times(decoded, rule), expected.timed[rule])
    assert.deepEqual(times(aligned), expected.timed_aligned)
  }
})

test("language models have the same probabilities, and decode like in Python", async () => {
  const rows = (found: any[]): any[] => found.map((one) => [one.symbol, one.first, one.last, one.confidence])
  for (const one of golden("decoding").cases) {
    const { symbols, contexts, log_posteriors: scores, other_symbols: others } = one
    const packed = await unpackedModel(Buffer.from(one.packed, "base64"), symbols.length)
    for (const model of [packed, modelOfContent(one.content, symbols, "golden")]) {
      for (const [context, row] of Object.entries(contexts)) assertClose(Array.from(model.rowAfter(Number(context))), row, 1e-6)
      assertClose(rows(decodeWith(scores, model)), one.with)
    }
    assertClose(rows(decodeWith(scores, uniformModel(symbols.length))), one.without)
    assertClose(rows(decodeWith(one.other_log_posteriors, modelOfContent(one.content, others, "golden"))), one.other)
  }
})

test("a language that does not fit is refused with the message of Python", async () => {
  for (const { content, symbols, message } of golden("decoding").invalid)
    await assertRefused(() => modelOfContent(content, symbols, "golden"), { code: "UsageError", message })
  assert.throws(() => uniformModel(256), { code: "UsageError", message: /at most 255 symbols, got 256/ })
  assert.throws(() => modelOfContent({ settings: { weight: 0, bonus: 0, beam: 1 }, ngrams: { "𝛼 a": 9, "ﬀ a": 1 } }, ["-", "a"], "x"), {
    message: /got one without ﬀ, 𝛼;/,
  })
})

test("other arrays than counts are refused as a language model", async () => {
  const [{ packed }] = golden("decoding").cases
  const content = Buffer.from(packed, "base64")
  const code = "CheckpointError"
  await assert.rejects(unpackedModel(content, 7), { code, message: /^phonemes\.npz: expected 7 symbols as in the card, got 6/ })
  const others = [readFileSync(`${GOLDEN}tiny-adaptable/adaptation.npz`), content.subarray(0, 40), new Uint8Array()]
  for (const other of others)
    await assert.rejects(unpackedModel(other, 6), { code, message: /^phonemes\.npz: expected n-gram counts/ })
})

test("alignment refuses too many phonemes, and rules it does not know", async () => {
  const scores = [logSoftmax([0, 0, 0])]
  const code = "PhonemeError"
  const advice = "check that the phonemes belong to the recording"
  await assertRefused(() => align(scores, [1, 1]), {
    code,
    message: `expected at least 3 frames for 2 phonemes, got 1; ${advice}`,
  })
  assert.throws(() => timePhonemes([], scores, new FrameGrid(720, 320), 720, "x"), { code })
  assert.throws(() => decodePhonemes([[NaN, 0]]), { code })
})

test("shares are those of Python for the same head", async () => {
  const grid = new FrameGrid(720, 320)
  for (const { features, spans: times, frames, shares } of golden("attribution")) {
    const spans = times.map(([start, end]: number[]) => ({ symbol: "a", start, end, confidence: 0.5 }))
    const inside = framesWithin(spans, grid, features.length)
    assert.deepEqual(inside.map((row) => Array.from(row.keys()).filter((frame) => row[frame])), frames)
    const decide = async (kept: readonly Uint8Array[]) =>
      kept.map((row) => {
        const chosen = features.filter((_: unknown, frame: number) => row[frame])
        const mean = [0, 1, 2].map((axis) => chosen.reduce((total: number, one: number[]) => total + one[axis], 0))
        return softmax(mean.map((value) => value / Math.max(1, chosen.length)))
      })
    const found = await withShares(spans, decide, grid, features.length, 3)
    assertClose(found.map((span) => span.share), shares)
  }
})

test("temperature, radius and softmax are those of Python", () => {
  for (const { logits, standardized, radius, temperature, ...expected } of golden("calibration")) {
    const flat = flattened(logits, standardized, radius ?? Infinity)
    const scores = softmax(flat.map((value) => value / temperature))
    const found = { flattened: flat, scores, log_softmax: logSoftmax(flat) }
    assertClose(Object.fromEntries(Object.entries(found).map(([name, row]) => [name, Array.from(row)])), expected)
  }
})

const adaptation = golden("adaptation")
const rows = (values: number[][]): Float64Array[] => values.map((row) => Float64Array.from(row))
const reference: Reference = {
  centre: Float64Array.from(adaptation.reference.centre),
  spread: Float64Array.from(adaptation.reference.spread),
  classMeans: rows(adaptation.reference.class_means),
  weight: rows(adaptation.reference.weight),
  bias: Float64Array.from(adaptation.reference.bias),
  kMean: adaptation.reference.k_mean,
  kSpread: adaptation.reference.k_spread,
  emIterations: adaptation.reference.em_iterations,
  radius: adaptation.reference.radius,
  digest: adaptation.reference.digest,
}

test("a reference has the digest of Python", async () => {
  const { centre, spread, class_means, weight, bias } = adaptation.reference
  const array = (values: any): any =>
    Array.isArray(values[0])
      ? { shape: [values.length, values[0].length], values: Float64Array.from(values.flat()) }
      : { shape: [values.length], values: Float64Array.from(values) }
  assert.equal(await digestOf([centre, spread, class_means, weight, bias].map(array)), reference.digest)
})

test("a pool has the statistics, profile, mark and map of Python, in any order", async () => {
  const plain = (found: any): any => ({ ...found, mean: Array.from(found.mean), deviation: Array.from(found.deviation) })
  for (const expected of adaptation.cases) {
    const vectors = [...expected.vectors].reverse()
    const found = estimate(vectors, reference)
    const profile = profileOf(found, 1.25 * vectors.length, reference)
    const source = shrinkTowards(profileStatistics(profile), reference)
    const map = affineOf(source, reference)
    assertClose(plain(moments(vectors, reference)), expected.moments)
    assertClose(plain(found), expected.estimate)
    assert.deepEqual(profile, expected.profile)
    assert.deepEqual(await markOf(profile), expected.mark)
    assertClose(plain(source), expected.shrunk)
    assertClose(plain(shrinkTowards(found, reference, source)), expected.twice)
    assertClose(Array.from(map.scale), expected.scale)
    assertClose(Array.from(map.shift), expected.shift)
    assertClose(Array.from(headLogits(reference, expected.vectors[0])), expected.logits)
    assertClose(Array.from(headLogits(reference, expected.vectors[0], map)), expected.adapted_logits)
  }
})

test("an invalid profile is refused with the message of Python", async () => {
  for (const { profile, message } of adaptation.invalid)
    await assertRefused(() => checkedProfile(profile, reference), { code: "UsageError", message })
  assert.throws(() => checkedProfile("{", reference), { code: "UsageError", message: /expected JSON/ })
})

test("dimensions are derived or read, clipped and rounded like in Python", () => {
  for (const { labels, names, row, dimensions } of golden("dimensions")) {
    const reader = dimensionReader(labels, names)
    assert.deepEqual(reader && dimensionData(reader(row)), dimensions)
  }
})

test("doubt, chosen emotions and mixtures are those of Python", () => {
  for (const { threshold, given, done, among: chosen, top: highest } of golden("doubt")) {
    const segments = given.segments.map((segment: any) => ({ ...segment, dimensions: null }))
    const { label, scores, seconds, spans, warnings, speech_ratio: speechRatio } = given
    const found = { label, scores, seconds, spans, warnings, segments, speechRatio, profile: null, dimensions: null }
    const marked = withDoubt(found, threshold)
    assertClose(predictionData(marked), done)
    assertClose(predictionData(among(marked, ["sadness", "anger"])), chosen)
    assertClose(predictionData(top(marked, 2)), highest)
  }
})

test("resampling is as good as soxr's within the band, in pieces of any size", () => {
  const { tolerance_db, cases } = golden("resampling")
  for (const { rate, count, hertz, samples, first, expected } of cases) {
    const wave = Float32Array.from({ length: count }, (_, n) =>
      hertz.reduce((total: number, one: number) => total + 0.3 * Math.sin((2 * Math.PI * one * n) / rate), 0),
    )
    const whole = resample(wave, rate)
    assert.equal(whole.length, samples)
    const part = whole.subarray(first, first + expected.length)
    const worst = Math.max(...part.map((value, n) => Math.abs(value - expected[n])))
    assert.ok(20 * Math.log10(worst) < tolerance_db, `${rate} Hz: ${20 * Math.log10(worst)} dB`)
    const resampler = new Resampler(rate)
    const cut = [...pieces(wave, 777)].map((piece) => resampler.push(piece))
    assert.deepEqual(joined([...cut, resampler.finish()]), whole)
  }
})

test("resampling attenuates what the lower rate cannot hold, and keeps a constant", () => {
  const tone = Float32Array.from({ length: 48_000 }, (_, n) => Math.sin((2 * Math.PI * 8_100 * n) / 48_000))
  const middle = resample(tone, 48_000).subarray(4_000, 12_000)
  assert.ok(Math.max(...middle.map(Math.abs)) < 10 ** (-95 / 20))
  for (const rate of [4_000, 16_001, 44_100, 384_000]) {
    const constant = resample(new Float32Array(rate).fill(0.5), rate)
    assert.equal(constant.length, 16_000)
    assert.ok(constant.subarray(6_000, 10_000).every((value) => Math.abs(value - 0.5) < 1e-5), `${rate}`)
  }
})
