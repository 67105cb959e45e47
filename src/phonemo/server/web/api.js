/** The server, as the page sees it. */

import { Problem, ServerProblem } from "./problems.js";

/** Held here only: gone with the page. */
export const session = {
  key: "",
  model: "",
  /** @type {import("./types.js").Applied | null} what recordings are recognized with */
  profile: null,
};

/** @param {string} path */
export const endpoint = (path) => new URL(path, document.baseURI);

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
export async function ask(path, options = {}) {
  const answer = await fetch(endpoint(path), { ...options, headers: authorization() }).catch(() => {
    throw new Problem("error.offline");
  });
  const text = await answer.text();
  if (!answer.ok) throw serverProblem(answer.status, text, answer.headers.get("Retry-After"));
  return parsed(text);
}

/**
 * The profile of some recordings, and its hash.
 * @param {Blob[]} blobs
 * @param {AbortSignal} signal
 * @returns {Promise<{profile: {count: number}, hash: string}>}
 */
export function makeProfile(blobs, signal) {
  const body = new FormData();
  for (const [number, blob] of blobs.entries()) body.append("file", blob, `${number + 1}`);
  if (session.model) body.append("model", session.model);
  return ask("v1/audio/profiles", { method: "POST", body, signal });
}

/** @returns {Record<string, string>} */
function authorization() {
  return session.key ? { Authorization: `Bearer ${session.key}` } : {};
}

/**
 * @typedef {{onProgress?: (share: number) => void, onSent?: () => void, signal?: AbortSignal}} Sending
 *
 * @param {Blob} blob
 * @param {string} name
 * @param {"verbose_json" | "csv" | "textgrid"} format
 * @param {Sending} [sending]
 * @param {import("./types.js").Applied | null} [profile]
 * @returns {Promise<{text: string, seconds: number}>}
 */
export function hear(blob, name, format, sending = {}, profile = null) {
  // fetch tells nothing of an upload's progress.
  const request = new XMLHttpRequest();
  request.open("POST", endpoint("v1/audio/emotions"));
  for (const [header, value] of Object.entries(authorization())) request.setRequestHeader(header, value);
  return new Promise((resolve, reject) => {
    const started = performance.now();
    watch(request, sending, reject);
    request.addEventListener("load", () => {
      const seconds = (performance.now() - started) / 1000;
      if (request.status === 200) resolve({ text: request.responseText, seconds });
      else
        reject(serverProblem(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    });
    request.send(form(blob, name, format, profile));
  });
}

/** @param {XMLHttpRequest} request @param {Sending} sending @param {(problem: Error) => void} reject */
function watch(request, sending, reject) {
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) sending.onProgress?.(event.loaded / event.total);
  });
  request.upload.addEventListener("load", () => sending.onSent?.());
  request.addEventListener("error", () => reject(new Problem("error.offline")));
  request.addEventListener("abort", () => reject(new Problem("error.aborted")));
  sending.signal?.addEventListener("abort", () => request.abort());
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @param {string} format
 * @param {import("./types.js").Applied | null} profile
 */
function form(blob, name, format, profile) {
  const made = new FormData();
  made.append("file", blob, name);
  made.append("response_format", format);
  made.append("timeline", "true");
  made.append("phonemes", "true");
  if (session.model) made.append("model", session.model);
  if (profile?.name) made.append("profile", profile.name);
  if (profile?.text) made.append("profile_json", profile.text);
  return made;
}

/** @param {string} text @returns {any} */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem("error.answer");
  }
}

/** @param {number} status @param {string} text @param {string | null} wait */
function serverProblem(status, text, wait) {
  let told = {};
  try {
    told = JSON.parse(text).error ?? {};
  } catch {
    // A proxy's page: the status says enough.
  }
  return new ServerProblem(status, told, Number(wait) || 2);
}
