/** Client of the HTTP API. */

import { parseJson } from "./answers.js";
import { endpoint } from "./endpoint.js";
import { ApiError, LocalizedError } from "./problems.js";
import { session } from "./session.js";

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
export async function fetchJson(path, options = {}) {
  const response = await fetch(endpoint(path), { ...options, headers: authorization() }).catch(() => {
    throw new LocalizedError("error.offline");
  });
  const text = await response.text();
  if (!response.ok) throw toApiError(response.status, text, (name) => response.headers.get(name));
  return parseJson(text);
}

/**
 * Create a profile from recordings.
 * @param {Blob[]} blobs
 * @param {AbortSignal} signal
 * @returns {Promise<{profile: {count: number}, hash: string}>}
 */
export function createProfile(blobs, signal) {
  const body = new FormData();
  for (const [number, blob] of blobs.entries()) body.append("file", blob, `${number + 1}`);
  if (session.model) body.append("model", session.model);
  return fetchJson("v1/audio/profiles", { method: "POST", body, signal });
}

/** @returns {Record<string, string>} */
function authorization() {
  return session.key ? { Authorization: `Bearer ${session.key}` } : {};
}

/**
 * @typedef {import("./types.js").UploadHandlers} UploadHandlers
 * @typedef {import("./types.js").UploadChoices} UploadChoices
 *
 * @param {Blob} blob
 * @param {string} name
 * @param {"verbose_json" | "csv" | "textgrid"} format
 * @param {UploadHandlers} [handlers]
 * @param {UploadChoices} [choices]
 * @returns {Promise<{text: string, seconds: number}>}
 */
export function recognize(blob, name, format, handlers = {}, choices = {}) {
  // fetch does not report upload progress.
  const request = new XMLHttpRequest();
  request.open("POST", endpoint("v1/audio/emotions"));
  for (const [header, value] of Object.entries(authorization())) request.setRequestHeader(header, value);
  return new Promise((resolve, reject) => {
    const started = performance.now();
    addHandlers(request, handlers, reject);
    request.addEventListener("load", () => {
      const seconds = (performance.now() - started) / 1000;
      if (request.status === 200) resolve({ text: request.responseText, seconds });
      else reject(toApiError(request.status, request.responseText, (name) => request.getResponseHeader(name)));
    });
    request.send(buildForm(blob, name, format, choices));
  });
}

/** @param {XMLHttpRequest} request @param {UploadHandlers} handlers @param {(error: Error) => void} reject */
function addHandlers(request, handlers, reject) {
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) handlers.onProgress?.(event.loaded / event.total);
  });
  request.upload.addEventListener("load", () => handlers.onSent?.());
  request.addEventListener("error", () => reject(new LocalizedError("error.offline")));
  request.addEventListener("abort", () => reject(new LocalizedError("error.aborted")));
  handlers.signal?.addEventListener("abort", () => request.abort());
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @param {string} format
 * @param {UploadChoices} choices
 */
function buildForm(blob, name, format, { profile, channels = "mix", decoding }) {
  const data = new FormData();
  data.append("file", blob, name);
  data.append("response_format", format);
  data.append("timeline", "true");
  data.append("phonemes", "true");
  data.append("channels", channels);
  if (format === "verbose_json") data.append("summary", "true");
  if (decoding) data.append("decoding", decoding);
  if (session.model) data.append("model", session.model);
  if (profile?.name) data.append("profile", profile.name);
  if (profile?.text) data.append("profile_json", profile.text);
  return data;
}

/** @param {number} status @param {string} text @param {(name: string) => string | null} header */
function toApiError(status, text, header) {
  let details = {};
  try {
    details = JSON.parse(text).error ?? {};
  } catch {
    // Not JSON, such as a proxy's error page: the status is enough.
  }
  return new ApiError(status, details, Number(header("Retry-After")) || 2, header("X-Request-Id") ?? "");
}
