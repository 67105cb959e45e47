/** Emotions by name, in any of their spellings. */

import { PhonemoError } from "./errors.ts"
import { SPELLINGS } from "./spellings.ts"
import { sum } from "./vectors.ts"

const MOST_SHOWN = 5

/** Lower case, with single underscores between the words. */
function simple(word: string): string {
  return word
    .normalize("NFC")
    .trim()
    .toLowerCase()
    .replace(/[\s_-]+/gu, "_")
    .replace(/^_+|_+$/g, "")
}

const BY_SPELLING = new Map(
  Object.entries(SPELLINGS).flatMap(([name, words]) =>
    [name, ...words.split(" ")].map((spelling) => [spelling, name] as const),
  ),
)

/** The labels that words stand for, in any spelling. */
export function resolvedLabels(labels: readonly string[], words: readonly string[]): string[] {
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string"))
    throw new PhonemoError("LabelError", "expected emotions as a list of names, got another; pass an array of texts")
  const canonical = (word: string): string => BY_SPELLING.get(simple(word)) ?? word.trim().toLowerCase()
  const byName = new Map(labels.map((label) => [canonical(label), label]))
  const names = words.map((word) => (labels.includes(word) ? word : (byName.get(canonical(word)) ?? word)))
  const unknown = [...new Set(names.filter((name) => !labels.includes(name)))]
  if (unknown.length) throw unknownLabels(labels, unknown)
  return names
}

/** Rescale the scores of some emotions, at least two, to sum to one; their order stays. */
export function rescaleScores(scores: Record<string, number>, names: readonly string[]): Record<string, number> {
  const emotions = Object.keys(scores).filter((name) => names.includes(name))
  if (emotions.length < 2)
    throw new PhonemoError("LabelError", `expected at least two labels, got ${emotions.length}`)
  const total = sum(emotions.map((name) => scores[name]))
  if (!(total > 0))
    throw new PhonemoError("LabelError", `all scores of ${emotions.join(", ")} are 0; add other emotions`)
  return Object.fromEntries(emotions.map((name) => [name, scores[name] / total]))
}

function unknownLabels(labels: readonly string[], words: readonly string[]): PhonemoError {
  const shown = words.slice(0, MOST_SHOWN).map(quoted)
  const more = words.length > MOST_SHOWN ? ` and ${words.length - MOST_SHOWN} more` : ""
  const noun = words.length === 1 ? "label" : "labels"
  return new PhonemoError("LabelError", `unknown ${noun} ${shown.join(", ")}${more}; labels: ${labels.join(", ")}`)
}

/** In one line. */
function quoted(word: string): string {
  return `'${JSON.stringify(word).slice(1, -1).replaceAll('\\"', '"')}'`
}
