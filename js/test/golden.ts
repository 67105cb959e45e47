/** The golden files that Python made, and their synthetic recordings. */

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export const GOLDEN = fileURLToPath(new URL("../../tests/golden/", import.meta.url))

export function golden(name: string): any {
  return JSON.parse(readFileSync(`${GOLDEN}runtime/${name}.json`, "utf8"))
}

const LOUDNESS = [1, 0.6, 0.8, 0.4, 0.7]

function triangle(phase: number): number {
  return Math.abs((phase % 65_536) - 32_768) / 16_384 - 1
}

function voice(n: number, step: number, noise: number): number {
  const syllable = Math.floor(n / 4_800)
  const inside = n % 4_800
  const phase = inside * (step + (syllable % 7) * 60)
  const rise = Math.min(1, Math.min(inside, 4_800 - inside) / 400)
  const loud = Math.floor(n / 48_000) % 4 === 3 ? 0 : LOUDNESS[syllable % 5]
  return (triangle(phase) * 0.6 + triangle(3 * phase) * 0.3 + noise * 0.1) * (rise * loud)
}

const KINDS: Record<string, (n: number, step: number, noise: number) => number> = {
  voice,
  hissing: (n, step, noise) => voice(n, step, noise) + noise * 0.02,
  noise: (_n, _step, noise) => noise,
  silence: () => 0,
  square: (n, step) => ((n * step) % 65_536 < 32_768 ? 1 : -1),
}

const known = new Map<string, Float32Array>()

/** A recording at 16 kHz by its name in signals.json. */
export function signal(name: string): Float32Array {
  const made = known.get(name)
  if (made) return made
  const { kind, samples, step, gain, offset } = golden("signals")[name]
  const wave = new Float32Array(samples)
  let state = 1
  for (let n = 0; n < samples; n++) {
    state = (Math.imul(1_664_525, state) + 1_013_904_223) >>> 0
    wave[n] = KINDS[kind](n, step, state / 2_147_483_648 - 1) * gain + offset
  }
  known.set(name, wave)
  return wave
}

export function checksum(samples: Float32Array): string {
  return createHash("sha256").update(new Uint8Array(samples.buffer)).digest("hex")
}

/** Numbers within a tolerance, absolute below 1 and relative above; all else equal. */
export function assertClose(actual: any, expected: any, tolerance = 1e-9, place = ""): void {
  if (typeof expected === "number") {
    const allowed = tolerance * Math.max(1, Math.abs(expected))
    assert.ok(Math.abs(actual - expected) <= allowed, `${place}: expected ${expected}, got ${actual}`)
  } else if (expected === null || typeof expected !== "object") {
    assert.equal(actual, expected, place)
  } else {
    const keys = Object.keys(expected)
    assert.deepEqual(Object.keys(actual), keys, place)
    for (const key of keys) assertClose(actual[key], expected[key], tolerance, `${place}.${key}`)
  }
}

/** Cut samples into pieces. */
export function* pieces(samples: Float32Array, size: number): Generator<Float32Array> {
  for (let first = 0; first < samples.length; first += size) yield samples.subarray(first, first + size)
}

/** Assert that a call fails with the error of a golden file. */
export async function assertRefused(call: () => unknown, error: { code: string; message: string }): Promise<void> {
  await assert.rejects(async () => call(), { name: "PhonemoError", ...error })
}
