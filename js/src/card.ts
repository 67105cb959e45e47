/** The content of bundle.json. */

import { PhonemoError } from "./errors.ts"
import { FrameGrid, RATE } from "./frames.ts"

export const CARD = "bundle.json"
const FORMAT = 1

/** The phoneme inventory; the first symbol is CTC's blank. */
export interface Inventory {
  name: string
  alphabet: string
  symbols: readonly string[]
}

/** The fields of the card that the runtime uses; the others are kept as they are. */
export interface BundleCard {
  format: number
  name: string
  precision: string
  licence: string
  labels: readonly string[]
  inventory: Inventory | null
  rate: number
  normalise: boolean
  fewest_samples: number
  conv_kernel: readonly number[]
  conv_stride: readonly number[]
  /** The longest recording processed in one pass, in seconds. */
  window_seconds: number
  temperature: number
  abstain_below: number
  sha256: string
  head_sha256?: string | null
  adaptation_sha256?: string | null
  decoder_sha256?: string | null
  /** The adjacent bundle that holds model.onnx. */
  network?: string | null
  dimensions?: { names: readonly string[]; derived: boolean } | null
}

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === "string"
const isHash: Check = (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
const isOptional = (check: Check): Check => (value) => value === undefined || value === null || check(value)
const isWithin =
  (least: number, most: number): Check =>
  (value) =>
    typeof value === "number" && value >= least && value <= most
const isCount = (most: number): Check => (value) => Number.isInteger(value) && isWithin(1, most)(value)
const isList =
  (check: Check, least: number): Check =>
  (value) =>
    Array.isArray(value) && value.length >= least && value.every(check)
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Field -> whether a value is valid, and what is expected. */
const FIELDS: Record<string, [Check, string]> = {
  name: [isText, "text"],
  precision: [(value) => value === "fp32" || value === "int8", "fp32 or int8"],
  licence: [isText, "text"],
  labels: [(value) => isList(isText, 1)(value) && new Set(value as string[]).size === (value as string[]).length, "unique labels"],
  inventory: [(value) => value === null || (isRecord(value) && isList(isText, 2)(value.symbols)), "an inventory or null"],
  rate: [(value) => value === RATE, `${RATE} samples per second`],
  normalise: [(value) => typeof value === "boolean", "true or false"],
  fewest_samples: [isCount(RATE * 60), "a number of samples"],
  conv_kernel: [isList(isCount(RATE), 1), "numbers of samples"],
  conv_stride: [isList(isCount(RATE), 1), "numbers of samples"],
  window_seconds: [isWithin(1e-9, 3600), "seconds up to 3600"],
  temperature: [isWithin(1e-3, 1e3), "a number from 0.001 to 1000"],
  abstain_below: [isWithin(0, 1), "a number from 0 to 1"],
  sha256: [isHash, "a SHA-256"],
  head_sha256: [isOptional(isHash), "a SHA-256"],
  adaptation_sha256: [isOptional(isHash), "a SHA-256"],
  decoder_sha256: [isOptional(isHash), "a SHA-256"],
  network: [isOptional((value) => typeof value === "string" && /^[a-z0-9][a-z0-9-]{0,63}$/.test(value)), "a bundle's name"],
  dimensions: [isOptional((value) => isRecord(value) && isList(isText, 1)(value.names)), "names of dimensions"],
}

/** Parse and check a card. */
export function parseCard(content: Uint8Array): BundleCard {
  const data = parsedJson(content)
  if (!isRecord(data) || !Number.isInteger(data.format))
    throw checkpoint(`${CARD}: expected a format number; this is not a phonemo bundle`)
  if (data.format !== FORMAT)
    throw checkpoint(
      `${CARD}: expected format ${FORMAT}, got ${data.format}; export the model again with this phonemo, or ` +
        "install the version of phonemo that wrote it",
    )
  const card: Record<string, unknown> = { temperature: 1, abstain_below: 0, rate: RATE, ...data }
  for (const [name, [isValid, expected]] of Object.entries(FIELDS))
    if (!isValid(card[name])) throw checkpoint(`${CARD}: ${name}: expected ${expected}; export the model again`)
  if ((card.conv_kernel as unknown[]).length !== (card.conv_stride as unknown[]).length)
    throw checkpoint(`${CARD}: expected conv_kernel and conv_stride of the same length; export the model again`)
  if (card.network && !card.adaptation_sha256)
    throw checkpoint(`${CARD}: expected adaptation.npz for the shared network ${card.network}; export the model again`)
  return card as unknown as BundleCard
}

/** The position of the frames in time. */
export function gridOf(card: BundleCard): FrameGrid {
  return FrameGrid.of(card.conv_kernel, card.conv_stride)
}

function parsedJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content))
  } catch (cause) {
    throw new PhonemoError("CheckpointError", `${CARD}: expected JSON; copy the whole folder again`, { cause })
  }
}

function checkpoint(message: string): PhonemoError {
  return new PhonemoError("CheckpointError", message)
}
