/** Profiles: statistics of a source's unlabeled recordings, as plain data for JSON. */

import { PhonemoError } from "./errors.ts"
import { sha256 } from "./hashing.ts"
import type { Reference } from "./reference.ts"
import { pythonFloat, roundTo } from "./rounding.ts"
import type { Statistics } from "./statistics.ts"

const FORMAT = 1
/** Significant digits of a mean or deviation. */
const DIGITS = 6
const MOST_FEATURES = 2 ** 14
const MOST_COUNT = 10 ** 9
const LARGEST = 1e18
const HASH_LETTERS = 12
const KEYS = ["format", "model", "count", "seconds", "mean", "deviation"] as const

/** The content of a profile's file. It is personal data where one person speaks. */
export interface Profile {
  format: number
  /** Digest of the model's reference. */
  model: string
  /** Number of vectors. */
  count: number
  /** Seconds of speech in them. */
  seconds: number
  mean: number[]
  deviation: number[]
}

/** Identifies the profile that a prediction was made with. */
export interface ProfileMark {
  hash: string
  count: number
}

/** The profile of a pool's statistics, which are not shrunk yet. */
export function profileOf(statistics: Statistics, seconds: number, reference: Reference): Profile {
  const rounded = (values: Float64Array): number[] => Array.from(values, (value) => Number(value.toPrecision(DIGITS)) + 0)
  return {
    format: FORMAT,
    model: reference.digest,
    count: statistics.count,
    seconds: roundTo(seconds, 1),
    mean: rounded(statistics.mean),
    deviation: rounded(statistics.deviation),
  }
}

/** The statistics in a profile, not shrunk yet. */
export function profileStatistics(profile: Profile): Statistics {
  return {
    count: profile.count,
    mean: Float64Array.from(profile.mean),
    deviation: Float64Array.from(profile.deviation),
  }
}

/** Its identification, by the beginning of the SHA-256 of its file as Python writes it. */
export async function markOf(profile: Profile): Promise<ProfileMark> {
  const { format, model, count, seconds, mean, deviation } = profile
  const list = (values: number[]): string => `[${values.map(pythonFloat).join(", ")}]`
  const text =
    `{"format": ${format}, "model": "${model}", "count": ${count}, "seconds": ${pythonFloat(seconds)}, ` +
    `"mean": ${list(mean)}, "deviation": ${list(deviation)}}\n`
  const hash = await sha256(new TextEncoder().encode(text))
  return { hash: hash.slice(0, HASH_LETTERS), count }
}

/** Check parsed JSON, or the text of a profile's file, against a model's reference. */
export function checkedProfile(data: unknown, reference: Reference): Profile {
  const profile = validated(typeof data === "string" ? parsed(data) : data)
  if (profile.model !== reference.digest)
    throw usage(
      `expected a profile of model ${reference.digest.slice(0, HASH_LETTERS)}, got one of model ` +
        `${profile.model.slice(0, HASH_LETTERS)}; make a profile with this model: phonemo adapt`,
    )
  if (profile.mean.length !== reference.centre.length)
    throw usage(
      `expected a profile of ${reference.centre.length} features, got ${profile.mean.length}; ` +
        "make it again with phonemo adapt",
    )
  return profile
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PhonemoError("UsageError", "profile: expected JSON; phonemo adapt writes a profile", { cause })
  }
}

function validated(data: unknown): Profile {
  const known: readonly string[] = KEYS
  const isObject = typeof data === "object" && data !== null && !Array.isArray(data)
  const keys = isObject ? Object.keys(data) : []
  if (keys.length !== known.length || !keys.every((key) => known.includes(key)))
    throw usage(`profile: expected an object of ${KEYS.join(", ")}, got another`)
  const profile = data as Profile
  if (profile.format !== FORMAT)
    throw usage(
      `profile: expected format ${FORMAT}, got ${pythonText(profile.format)}; make the profile again with ` +
        "this version of phonemo",
    )
  for (const key of ["mean", "deviation"] as const)
    if (!Array.isArray(profile[key]))
      throw usage(`profile: expected a list in ${key}; make it again with phonemo adapt`)
  const fault = faultOf(profile)
  if (fault) throw usage(`profile: ${fault}; make it again with phonemo adapt`)
  return profile
}

function faultOf({ model, count, seconds, mean, deviation }: Profile): string | null {
  if (typeof model !== "string" || !/^[0-9a-f]{64}$/.test(model)) return "expected a model of 64 hexadecimal digits"
  if (!Number.isInteger(count) || count < 1 || count > MOST_COUNT) return `expected a count from 1 to ${MOST_COUNT}`
  if (!isWithin(seconds, 0)) return "expected seconds of 0 or more"
  if (mean.length < 1 || mean.length > MOST_FEATURES || mean.length !== deviation.length)
    return (
      `expected 1 to ${MOST_FEATURES} means and as many deviations, got ${mean.length} means and ` +
      `${deviation.length} deviations`
    )
  if (!mean.every((value) => isWithin(value, -LARGEST))) return "expected means from -1e+18 to 1e+18"
  if (!deviation.every((value) => isWithin(value, 1 / LARGEST))) return "expected deviations from 1e-18 to 1e+18"
  return null
}

function isWithin(value: unknown, least: number): boolean {
  return typeof value === "number" && least <= value && value <= LARGEST
}

/** A value of JSON as Python writes it. */
function pythonText(value: unknown): string {
  if (typeof value === "boolean") return value ? "True" : "False"
  if (value === null) return "None"
  return typeof value === "string" ? `'${value.slice(0, 60)}'` : JSON.stringify(value).slice(0, 120)
}

function usage(message: string): PhonemoError {
  return new PhonemoError("UsageError", message)
}
