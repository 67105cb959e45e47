/** Opening bundles, and what callers may pass: sources, samples, rates, profiles, streams. */

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import { deflateRawSync } from "node:zlib"

import { load, PhonemoError, resample } from "../src/index.ts"
import type { PredictionData, Recognizer } from "../src/index.ts"
import { readNpz } from "../src/npz.ts"
import { pythonFloat, roundTo } from "../src/rounding.ts"
import { assertRefused, GOLDEN, golden, signal } from "./golden.ts"
import { runtimes } from "./runtimes.ts"

const [[, ort]] = runtimes
const speech = signal("three_seconds")
const recognizer = await load(`${GOLDEN}tiny-adaptable`, { ort, threads: 1 })
const expected = await recognizer.predict(speech, 16_000)

/** Reads the bundles beside each other, with some files replaced. */
function reader(replaced: Record<string, Uint8Array> = {}) {
  return async (name: string): Promise<Uint8Array> => replaced[name] ?? readFile(`${GOLDEN}${name}`)
}

test("a bundle is opened by path, address and function, alone or by its name in a folder", async () => {
  const options = { ort, threads: 1 }
  const own = async (name: string): Promise<ArrayBuffer> =>
    new Uint8Array(await readFile(`${GOLDEN}tiny-adaptable/${name}`)).buffer
  const opened = [
    await load(pathToFileURL(`${GOLDEN}tiny-adaptable`), options),
    await load(GOLDEN, { ...options, model: "tiny-adaptable" }),
    await load(own, options),
    await load(reader(), { ...options, model: "tiny-adaptable" }),
  ]
  for (const one of opened) assert.deepEqual(await one.predict(speech, 16_000), expected)
  const shared = await load(reader(), { ...options, model: "tiny-shared" })
  assert.deepEqual(shared.labels, ["happiness", "neutral"])
})

test("a missing or changed file is one clear error", async () => {
  const code = "CheckpointError"
  const model = "tiny-bundle"
  await assert.rejects(load("nowhere", { ort }), { code, message: /^bundle\.json: cannot be read/ })
  const changed = await readFile(`${GOLDEN}tiny-bundle/model.onnx`)
  changed[5000] ^= 1
  const card = JSON.parse(await readFile(`${GOLDEN}tiny-bundle/bundle.json`, "utf8"))
  const cards: [object | string, RegExp][] = [
    ["{", /expected JSON/],
    [[], /expected a format number/],
    [{ ...card, format: 2 }, /expected format 1, got 2/],
    [{ ...card, temperature: 0 }, /temperature: expected a number from/],
    [{ ...card, network: "../x" }, /network: expected a bundle's name/],
    [{ ...card, inventory: null }, /expected the phonemes and dimensions of the card/],
  ]
  await assert.rejects(load(reader({ "tiny-bundle/model.onnx": changed }), { ort, model }), {
    code,
    message: /^model\.onnx: expected SHA-256 ca5959f4fb8d\.\.\. \(bundle\.json\), got /,
  })
  for (const [data, message] of cards) {
    const text = typeof data === "string" ? data : JSON.stringify(data)
    const replaced = { "tiny-bundle/bundle.json": new TextEncoder().encode(text) }
    await assert.rejects(load(reader(replaced), { ort, model }), { code, message })
  }
  await assert.rejects(load(reader(), { ort, model, threads: 0 }), { code: "UsageError" })
})

test("a bundle's language model decodes by default, and another decoding can be chosen", async () => {
  const folder = `${GOLDEN}tiny-bundle/`
  const card = JSON.parse(await readFile(`${folder}bundle.json`, "utf8"))
  const { symbols } = card.inventory
  const { packed, phonemes: spokenByPython } = golden("decoding").bundle
  const model = new Uint8Array(Buffer.from(packed, "base64"))
  const sha256 = createHash("sha256").update(model).digest("hex")
  const encoded = (data: object): Uint8Array => new TextEncoder().encode(JSON.stringify(data))
  const files = { "tiny-bundle/bundle.json": encoded({ ...card, decoder_sha256: sha256 }), "tiny-bundle/phonemes.npz": model }
  const open = (replaced: Record<string, Uint8Array> = {}) => load(reader(replaced), { ort, model: "tiny-bundle" })
  const wrong = { ...files, "tiny-bundle/bundle.json": encoded({ ...card, decoder_sha256: "0".repeat(64) }) }
  await assert.rejects(open(wrong), { code: "CheckpointError", message: /^phonemes\.npz: expected SHA-256 0{12}/ })
  await assert.rejects(open({ ...files, "tiny-bundle/phonemes.npz": model.subarray(1) }), { code: "CheckpointError" })
  const plain = await open()
  const language = { settings: { weight: 3, bonus: 1, beam: 8 }, ngrams: { [`${symbols[1]} ${symbols[2]}`]: 5, [`# ${symbols[1]}`]: 2 } }
  const phonemes = async (chosen: Recognizer): Promise<string[] | null> => (await chosen.predict(speech, 16_000)).phonemes
  const best = await phonemes(plain)
  const withOwn = await open(files)
  assert.deepEqual(await phonemes(withOwn), spokenByPython)
  assert.deepEqual(await phonemes(withOwn.withDecoding("best-path")), best)
  assert.deepEqual(await phonemes(withOwn.withDecoding("best-path").withDecoding("language-model")), spokenByPython)
  const beam = await phonemes(plain.withDecoding("beam-search"))
  const spoken = await phonemes(plain.withDecoding(language))
  assert.notDeepEqual(spoken, beam)
  assert.deepEqual(await phonemes(plain.withDecoding(language).withDecoding("best-path")), best)
  assert.deepEqual(await phonemes(plain), best)
  const code = "UsageError"
  assert.throws(() => plain.withDecoding("language-model"), { code, message: /^expected a bundle with a phoneme language model/ })
  for (const name of ["klingon", "", 3, null, undefined])
    assert.throws(() => plain.withDecoding(name as any), { code, message: /^decoding: expected best-path, beam-search, language-model or / })
  assert.throws(() => plain.withDecoding({} as any), { code, message: /^the language: expected n-grams of 2 or 3/ })
})

test("samples of other types and rates give the same label", async () => {
  const same = async (samples: any, rate: number): Promise<PredictionData> => recognizer.predict(samples, rate)
  const integers = Int16Array.from(speech, (value) => value * 32_767)
  const long = Int32Array.from(speech, (value) => value * 2 ** 31)
  for (const samples of [integers, long, Float64Array.from(speech), Array.from(speech)])
    assert.equal((await same(samples, 16_000)).label, expected.label)
  assert.equal((await same(Float32Array.from({ length: 9_600 }, (_, n) => 0.3 * Math.sin(n / 20)), 9_600)).seconds, 1)
  await assertRefused(() => same(new Uint8Array(800), 16_000), {
    code: "invalid_audio",
    message: "array: expected float32, float64, int16 or int32, got Uint8Array; convert it",
  })
})

test("a prediction leaves the samples unchanged, and several may run at once", async () => {
  const before = speech.slice()
  const found = await Promise.all([1, 2, 3].map(() => recognizer.predict(speech, 16_000)))
  for (const one of found) assert.deepEqual(one, expected)
  assert.deepEqual(speech, before)
})

test("a stream takes pieces without waiting, and copies them", async () => {
  const stream = recognizer.stream(16_000)
  const buffer = new Float32Array(1_600)
  const pushed = []
  for (let start = 0; start < speech.length; start += buffer.length) {
    buffer.set(speech.subarray(start, start + buffer.length))
    pushed.push(stream.push(buffer))
  }
  const end = await stream.finish()
  assert.equal((await Promise.all(pushed)).flat().length, 1)
  assert.deepEqual(end.prediction, await recognizer.predict(speech, 16_000, { timeline: true }))
  await assertRefused(() => stream.push(buffer), {
    code: "UsageError",
    message: "the stream was finished; create a new one",
  })
})

test("a stream of another rate ends like a file of that rate; invalid samples are left out", async () => {
  const tone = Float32Array.from({ length: 44_100 }, (_, n) => (n % 9_000 < 5_000 ? 0.3 * Math.sin(n / 30) : 0))
  const stream = recognizer.stream(44_100, { phonemes: true })
  await assert.rejects(stream.push([NaN]), { code: "invalid_audio", message: /^stream: expected finite samples/ })
  for (let start = 0; start < tone.length; start += 4_410) await stream.push(tone.subarray(start, start + 4_410))
  const { prediction } = await stream.finish()
  const whole = await recognizer.predict(tone, 44_100, { phonemes: true, timeline: true })
  assert.deepEqual(prediction, whole)
  assert.throws(() => recognizer.stream(100), { message: "expected a rate of 4000 to 384000 Hz, got 100 Hz" })
})

test("a profile is made of recordings, applied and refused by another model", async () => {
  const recordings = [signal("three_seconds"), signal("odd"), signal("above_whole")].map((samples) => ({ samples, rate: 16_000 }))
  const broken = { samples: new Float32Array(10), rate: 16_000 }
  const profile = await recognizer.profile([...recordings, broken])
  assert.ok(profile.count > 5)
  const adapted = await recognizer.withProfile(JSON.stringify(profile))
  const found = await adapted.predict(speech, 16_000)
  assert.deepEqual(found.profile, adapted.applied)
  assert.notDeepEqual(found.scores, expected.scores)
  assert.deepEqual(await recognizer.predict(speech, 16_000, { profile }), found)
  assert.deepEqual(await adapted.predict(speech, 16_000, { profile: null }), expected)
  const plain = await load(`${GOLDEN}tiny-bundle`, { ort, threads: 1 })
  await assert.rejects(plain.withProfile(profile), { code: "ModelError", message: /^this model takes no profile/ })
  await assert.rejects(recognizer.withProfile(golden("predictions").profiles["tiny-shared"]), {
    code: "UsageError",
    message: /^expected a profile of model [0-9a-f]{12}, got one of model/,
  })
  await assert.rejects(recognizer.profile([broken]), { message: /^expected speech to make a profile from, got 0/ })
})

test("an option that is not known is refused, and so is a missing runtime", async () => {
  const code = "UsageError"
  const call = (options: any) => recognizer.predict(speech, 16_000, options)
  await assert.rejects(call({ shares: true }), { code, message: /^predict: expected options of phonemes, .*got "shares"/ })
  const stream: any = { profile: {} }
  assert.throws(() => recognizer.stream(16_000, stream), { code, message: /withProfile\(profile\)$/ })
  const none: any = undefined
  await assert.rejects(load(GOLDEN, none), { code, message: /^expected onnxruntime-web or onnxruntime-node as ort/ })
  await assert.rejects(call({ topK: 0 }), { code, message: "expected a number of top scores of at least 1, got 0" })
})

test("a long recording reports its progress", async () => {
  const shares: number[] = []
  await recognizer.predict(signal("above_whole"), 16_000, { progress: (share) => shares.push(share) })
  assert.equal(shares.at(-1), 1)
  assert.ok(shares.length > 10)
})

test("samples may be changed or transferred while they are recognized", async () => {
  const profile = await recognizer.profile([{ samples: speech, rate: 16_000 }])
  for (const [samples, options] of [[speech, {}], [speech, { timeline: true, profile }], [signal("above_whole"), {}]] as const) {
    const before = await recognizer.predict(samples, 16_000, options)
    const [changed, moved] = [samples.slice(), samples.slice()]
    const found = [recognizer.predict(changed, 16_000, options), recognizer.predict(moved, 16_000, options)]
    changed.fill(0)
    structuredClone(moved.buffer, { transfer: [moved.buffer] })
    assert.deepEqual(await Promise.all(found), [before, before])
  }
})

test("values of other types are one clear error at every entrance", async () => {
  const any = (value: unknown): any => value
  const [usage, invalid] = ["UsageError", "invalid_audio"]
  const calls: [() => unknown, string, RegExp][] = [
    [() => recognizer.predict(speech, 16_000, any(null)), usage, /^predict: expected options as an object, got null/],
    [() => recognizer.stream(16_000, any("x")), usage, /^stream: expected options as an object, got x/],
    [() => recognizer.predict(any([0.5, null]), 16_000), invalid, /^array: expected numbers, got null at index 1/],
    [() => recognizer.predict(any([1n]), 16_000), invalid, /^array: expected numbers, got bigint at index 0/],
    [() => recognizer.stream(16_000).push(any([Symbol("x")])), invalid, /^stream: expected numbers, got symbol/],
    [() => recognizer.predict(speech, 16_000, { emotions: any("anger") }), "LabelError", /^expected emotions as a list/],
    [() => recognizer.predict(speech, 16_000, { emotions: any([1]) }), "LabelError", /^expected emotions as a list/],
    [() => recognizer.predict(speech, 16_000, { emotions: ["a\nb", "c"] }), "LabelError", /^unknown labels 'a\\nb', 'c'; /],
    [() => recognizer.predict(speech, 16_000, { topK: 1.5 }), usage, /of at least 1, got 1\.5/],
    [() => recognizer.profile(any(null)), usage, /^expected recordings as a list/],
    [() => recognizer.profile([any(null)]), usage, /0 recordings without speech, 1 that cannot be used/],
    [() => resample(speech, 0), usage, /^expected a rate of 4000 to 384000 Hz, got 0 Hz/],
    [() => resample(speech, NaN), usage, /expected rate as an integer/],
    [() => resample(any("x"), 8_000), invalid, /got String/],
    [() => load(any(undefined), { ort }), usage, /^expected a bundle's path, address or function, got undefined/],
  ]
  for (const [call, code, message] of calls) await assert.rejects(async () => call(), { name: "PhonemoError", code, message })
})

test("a recognizer that is released twice is released", async () => {
  const own = await load(`${GOLDEN}tiny-adaptable`, { ort, threads: 1 })
  await own.release()
  await own.release()
  await assert.rejects(own.predict(speech, 16_000), { code: "ModelError" })
})

test("a deflated archive of arrays is read like a stored one", async () => {
  const stored = new Uint8Array(await readFile(`${GOLDEN}tiny-adaptable/adaptation.npz`))
  const arrays = await readNpz(stored)
  assert.deepEqual(await readNpz(deflated(stored)), arrays)
  await assert.rejects(readNpz(stored.subarray(0, 100)))
})

/** The members of a stored archive, deflated. */
function deflated(stored: Uint8Array): Uint8Array {
  const view = new DataView(stored.buffer)
  const end = stored.length - 22
  const members: { name: Uint8Array; data: Uint8Array }[] = []
  let entry = view.getUint32(end + 16, true)
  for (let count = view.getUint16(end + 10, true); count; count--) {
    const name = stored.subarray(entry + 46, entry + 46 + view.getUint16(entry + 28, true))
    const header = view.getUint32(entry + 42, true)
    const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true)
    members.push({ name, data: stored.subarray(start, start + view.getUint32(entry + 24, true)) })
    entry += 46 + name.length + view.getUint16(entry + 30, true) + view.getUint16(entry + 32, true)
  }
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let place = 0
  for (const { name, data } of members) {
    const packed = deflateRawSync(data)
    const local = Buffer.alloc(30)
    local.writeUInt16LE(name.length, 26)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(8, 10)
    central.writeUInt32LE(packed.length, 20)
    central.writeUInt32LE(data.length, 24)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt32LE(place, 42)
    parts.push(local, Buffer.from(name), packed)
    directory.push(central, Buffer.from(name))
    place += 30 + name.length + packed.length
  }
  const last = Buffer.alloc(22)
  last.writeUInt32LE(0x06054b50, 0)
  last.writeUInt16LE(members.length, 10)
  last.writeUInt32LE(place, 16)
  return new Uint8Array(Buffer.concat([...parts, ...directory, last]))
}

test("numbers are rounded and written like in Python", () => {
  assert.equal(roundTo(0.03125, 4), 0.0312)
  assert.equal(roundTo(0.09375, 4), 0.0938)
  assert.equal(roundTo(2.675, 2), 2.67)
  const texts: [number, string][] = [
    [8, "8.0"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [-2.5e-7, "-2.5e-07"],
    [123456789012345680, "1.2345678901234568e+17"],
    [1e15, "1000000000000000.0"],
    [-0.00012345, "-0.00012345"],
  ]
  for (const [value, text] of texts) assert.equal(pythonFloat(value), text)
})

test("an error has a code and one line", () => {
  const error = new PhonemoError("UsageError", "expected one, got two; pass one")
  assert.equal(error.code, "UsageError")
  assert.ok(error instanceof Error)
})
