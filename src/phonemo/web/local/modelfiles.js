/** Runs in the worker: fetches the engine and a model once, and reports the bytes as they arrive. */

import * as ort from "../onnxruntime/ort.wasm.bundle.min.mjs";
import { load } from "../phonemo/index.js";

const GZIP = [0x1f, 0x8b];

/** @type {Map<string, any>} */
const recognizers = new Map();
/** Address of the site. */
let base = "";

/** A failure whose message the page translates. */
export class FetchError extends Error {
  key = "place.unreachable";
}

/** @param {string} model */
export const recognizerOf = (model) => recognizers.get(model);

/** @param {{path: string}} file of the site */
export async function fetchedText(file) {
  return new TextDecoder().decode(await read(base, file));
}

/** @param {{base: string, engine: Record<string, any>, model: any}} request */
export async function loadModel({ base: address, engine, model }) {
  if (recognizers.has(model.id)) return;
  base = address;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary ??= await read(base, engine.wasm);
  const contents = await readAll(base, model.files);
  const source = (/** @type {string} */ name) => contentOf(contents, name);
  recognizers.set(model.id, await load(source, { ort, threads: 1 }));
}

/** A network that bundles share is in each of them here. @param {Map<string, ArrayBuffer>} contents @param {string} name */
async function contentOf(contents, name) {
  const content = contents.get(name.split("/").at(-1) ?? name);
  if (!content) throw new Error("not in this site");
  return content;
}

/** @param {string} base @param {Record<string, any>} files */
async function readAll(base, files) {
  const entries = Object.entries(files).map(async ([name, file]) => /** @type {const} */ ([name, await read(base, file)]));
  return new Map(await Promise.all(entries));
}

/** @param {string} base @param {{path: string}} file @returns {Promise<ArrayBuffer>} */
async function read(base, { path }) {
  const response = await fetch(new URL(path, base)).catch(() => null);
  if (!response?.ok || !response.body) throw new FetchError(path);
  const sent = await new Response(response.body.pipeThrough(counter())).arrayBuffer().catch(() => {
    throw new FetchError(path);
  });
  return unpacked(sent);
}

/** Some hosts unpack on the way, so the content decides, not the name. @param {ArrayBuffer} sent */
async function unpacked(sent) {
  const [first, second] = new Uint8Array(sent.slice(0, 2));
  if (first !== GZIP[0] || second !== GZIP[1]) return sent;
  const stream = new Blob([sent]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

function counter() {
  return new TransformStream({
    transform(chunk, controller) {
      self.postMessage({ bytes: chunk.byteLength });
      controller.enqueue(chunk);
    },
  });
}
