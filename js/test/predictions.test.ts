/** Predictions and streams of the tiny bundles are those of Python. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { load } from "../src/index.ts"
import type { Ort, Recognizer } from "../src/index.ts"
import { assertClose, assertRefused, GOLDEN, golden, pieces, signal } from "./golden.ts"
import { runtimes } from "./runtimes.ts"

const { profiles, cases } = golden("predictions")
/** Scores of an int8 network of random weights, and seconds: a frame. */
const SCORE = 0.01
const SECONDS = 0.02

const opened = new Map<string, Promise<Recognizer>>()

async function recognizerOf(ort: Ort, name: string): Promise<Recognizer> {
  const key = `${name} ${runtimes.findIndex(([, module]) => module === ort)}`
  const known = opened.get(key) ?? load(`${GOLDEN}${name}`, { ort, threads: 1 })
  opened.set(key, known)
  return known
}

/** Spans are equal within a frame, but for at most 1 of 50. */
function assertSpans(actual: any[], expected: any[], place: string): void {
  const near = (span: any, number: number): boolean =>
    actual.slice(Math.max(0, number - 40), number + 40).some(
      (other) =>
        other.symbol === span.symbol &&
        Math.abs(other.start - span.start) <= SECONDS + 1e-9 &&
        Math.abs(other.end - span.end) <= SECONDS + 1e-9 &&
        Math.abs(other.confidence - span.confidence) <= SCORE &&
        ("share" in other) === ("share" in span) &&
        Math.abs((other.share ?? 0) - (span.share ?? 0)) <= SCORE,
    )
  const differing = expected.filter((span, number) => !near(span, number)).length
  assert.ok(differing <= expected.length / 50, `${place}: ${differing} of ${expected.length} spans differ`)
  assert.ok(Math.abs(actual.length - expected.length) <= expected.length / 50, place)
}

function assertPrediction(actual: any, expected: any, place: string): void {
  const { spans, phonemes, profile, ...others } = expected
  const { spans: ownSpans, phonemes: ownPhonemes, profile: ownProfile, ...own } = actual
  assert.deepEqual(Object.keys(actual), Object.keys(expected), place)
  assertClose(own, others, SCORE, place)
  assert.deepEqual(ownPhonemes, ownSpans.map((span: any) => span.symbol))
  assertSpans(ownSpans, spans, place)
  assert.equal(ownProfile?.count, profile?.count)
}

/** The longest recording is left to the quicker runtime: the algorithms are the same. */
const isSkipped = (runtime: string, name: string): boolean => runtime === "web" && name === "long"

for (const [runtime, ort] of runtimes) {
  for (const { bundle, signal: name, options, result, error } of cases) {
    if (isSkipped(runtime, name)) continue
    const place = `${runtime}: ${bundle}, ${name}, ${JSON.stringify(options)}`
    test(`predicts like Python: ${place}`, async () => {
      const recognizer = await recognizerOf(ort, bundle)
      const { top_k: topK, profile, decoding, ...others } = options
      const applied = profile && { profile: profiles[bundle] }
      const predict = () => {
        const chosen = decoding ? recognizer.withDecoding(decoding) : recognizer
        return chosen.predict(signal(name), 16_000, { ...others, ...applied, topK })
      }
      if (error) return assertRefused(predict, error)
      const found = await predict()
      assertPrediction(found, result, place)
      assert.deepEqual(found.profile, result.profile)
    })
  }

  for (const { bundle, signal: name, piece, options, events, result, error } of golden("streams")) {
    if (isSkipped(runtime, name)) continue
    const place = `${runtime}: ${bundle}, ${name}, ${piece}, ${JSON.stringify(options)}`
    test(`streams like Python: ${place}`, async () => {
      let recognizer = await recognizerOf(ort, bundle)
      if (options.profile) recognizer = await recognizer.withProfile(profiles[bundle])
      if (options.decoding) recognizer = recognizer.withDecoding(options.decoding)
      const stream = recognizer.stream(16_000, { phonemes: options.phonemes, adapt: options.adapt })
      const found: any[] = []
      let number = 0
      for (const samples of pieces(signal(name), piece)) {
        for (const event of await stream.push(samples)) found.push([number, event])
        number++
      }
      const withoutHash = (rows: any): any => JSON.parse(JSON.stringify(rows, (key, value) => (key === "hash" ? "" : value)))
      assertClose(withoutHash(found), withoutHash(events), SCORE, place)
      if (error) return assertRefused(() => stream.finish(), error)
      const end = await stream.finish()
      assertClose(withoutHash(end.events), withoutHash(result.last), SCORE, place)
      assertPrediction(end.prediction, result.prediction, place)
      assert.equal(end.profile?.count ?? null, result.profile?.count ?? null)
    })
  }
}

const [[, ort]] = runtimes

test("samples and rates are refused with the messages of Python", async () => {
  const recognizer = await recognizerOf(ort, "tiny-bundle")
  for (const { count, fill, last, rate, error } of golden("errors")) {
    const samples = new Float32Array(count).fill(fill)
    if (count) samples[count - 1] = last ?? NaN
    await assertRefused(() => recognizer.predict(samples, rate), error)
  }
})
