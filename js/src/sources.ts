/** Where a bundle's files come from: a folder, an address, or a function. */

import { PhonemoError } from "./errors.ts"

/** Returns the content of a file, by a name such as "bundle.json" or "../phonemo-open/model.onnx". */
export type ReadFile = (name: string) => ArrayBuffer | Uint8Array | Promise<ArrayBuffer | Uint8Array>

/** A folder's path (Node), its address, or a function. */
export type Source = string | URL | ReadFile

/** Returns the content of a file of the bundle. */
export type Reader = (name: string) => Promise<Uint8Array>

/** The reader of a source.
 *
 * @param model name of a bundle in the source, which then holds several; without it, the source is one.
 */
export function readerOf(source: Source, model?: string): Reader {
  if (source === null || !["string", "object", "function"].includes(typeof source))
    throw new PhonemoError("UsageError", `expected a bundle's path, address or function, got ${source}; name the folder`)
  const read = typeof source === "function" ? source : isAddress(source) ? fetcher(source) : fileReader(String(source))
  return async (name) => {
    const place = normalized(model === undefined ? name : `${model}/${name}`)
    try {
      const content = await read(place)
      return content instanceof Uint8Array ? content : new Uint8Array(content)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause)
      throw new PhonemoError(
        "CheckpointError",
        `${place}: cannot be read (${reason}); copy the whole folder: bundle.json, model.onnx and, where the ` +
          "card names them, head.onnx, adaptation.npz and phonemes.npz",
        { cause },
      )
    }
  }
}

/** Resolve "a/../b" to "b"; leading ".." stay. */
function normalized(place: string): string {
  const parts: string[] = []
  for (const part of place.split("/"))
    if (part === ".." && parts.length && parts.at(-1) !== "..") parts.pop()
    else parts.push(part)
  return parts.join("/")
}

function isNode(): boolean {
  return typeof process !== "undefined" && Boolean(process.versions?.node)
}

/** In a browser every text is an address, which may be relative to the page. */
function isAddress(source: string | URL): boolean {
  return source instanceof URL ? source.protocol !== "file:" : /^https?:/.test(source) || !isNode()
}

function fetcher(source: string | URL): Reader {
  const base = new URL(String(source).replace(/\/*$/, "/"), globalThis.location?.href)
  return async (name) => {
    const response = await fetch(new URL(name, base))
    if (!response.ok) throw new Error(`HTTP ${response.status}`)
    return new Uint8Array(await response.arrayBuffer())
  }
}

function fileReader(folder: string): Reader {
  const modules = ["node:fs/promises", "node:path", "node:url"]
  return async (name) => {
    const [files, paths, urls] = await Promise.all(modules.map((module) => import(/* @vite-ignore */ module)))
    const root = folder.startsWith("file:") ? urls.fileURLToPath(folder) : folder
    return files.readFile(paths.join(root, name))
  }
}
