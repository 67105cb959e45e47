/** The WebSocket of live mode: 16-bit chunks out, events in. */

import { parseJson, parsePrediction, parseSegment } from "./answers.js";
import { endpoint } from "./endpoint.js";
import { ApiError, LocalizedError } from "./problems.js";
import { session } from "./session.js";

const MAX_UNSENT_BYTES = 4_000_000;
const ERROR_KEYS = { authentication_error: "live.key", rate_limit_error: "live.busy" };
const CLOSE_KEYS = { 1008: "live.key", 1013: "live.busy", 1009: "live.big", 1011: "live.fault" };

/**
 * @typedef {import("./types.js").StreamOptions} StreamOptions
 * @typedef {import("./types.js").StreamHandlers} StreamHandlers
 */

export class LiveSocket {
  /** @type {Int16Array<ArrayBuffer>[]} */
  #pending = [];
  #ready = false;
  #ended = false;

  /** @param {number} rate @param {StreamHandlers} handlers @param {StreamOptions} options */
  constructor(rate, handlers, options) {
    this.handlers = handlers;
    this.options = options;
    const protocols = session.key ? ["phonemo", `phonemo.key.${session.key}`] : [];
    this.socket = new WebSocket(streamUrl(rate, options), protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", ({ data }) => this.#onMessage(data));
    this.socket.addEventListener("close", ({ code }) => this.#fail(new LocalizedError(this.#closeKey(code))));
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  send(pcm) {
    if (this.#ended) return;
    if (!this.#ready) return void this.#pending.push(pcm);
    this.socket.send(pcm);
    if (this.socket.bufferedAmount > MAX_UNSENT_BYTES) this.#fail(new LocalizedError("live.slow"));
  }

  /** Request the final prediction. @returns {boolean} whether it can be expected */
  finish() {
    if (!this.#ready || this.#ended) return false;
    this.socket.send(JSON.stringify({ type: "finish" }));
    return true;
  }

  /** Reset the profile that adapts to the session. */
  reset() {
    if (this.#ready && !this.#ended && this.options.adapt)
      this.socket.send(JSON.stringify({ type: "reset", everything: true }));
  }

  /** Close without a prediction. */
  close() {
    this.#ended = true;
    this.#pending = [];
    this.socket.close();
  }

  /** @param {string} data */
  #onMessage(data) {
    if (this.#ended) return;
    try {
      this.#dispatch(parseJson(data));
    } catch (error) {
      this.#fail(/** @type {Error} */ (error));
    }
  }

  /** @param {any} event */
  #dispatch(event) {
    const segment = event.segment && parseSegment(event.segment);
    if (event.type === "ready") this.#onReady(event);
    else if (event.type === "window") this.handlers.onWindow({ ...event, segment });
    else if (event.type === "segment") this.handlers.onSegment({ ...event, segment });
    else if (event.type === "final")
      this.#onFinal(parsePrediction(event.prediction), event.profile_json ?? null);
    else if (event.type === "error") this.#fail(toError(event.error ?? {}));
  }

  /** @param {any} event */
  #onReady(event) {
    this.#ready = true;
    const text = this.options.profile?.text;
    if (text) this.socket.send(JSON.stringify({ type: "profile", profile_json: JSON.parse(text) }));
    for (const pcm of this.#pending.splice(0)) this.send(pcm);
    this.handlers.onReady(event);
  }

  /** @param {import("./types.js").Prediction} prediction @param {object | null} sessionProfile */
  #onFinal(prediction, sessionProfile) {
    this.#ended = true;
    this.handlers.onFinal(prediction, sessionProfile);
    this.socket.close();
  }

  /** @param {Error} error */
  #fail(error) {
    if (this.#ended) return;
    this.close();
    this.handlers.onError(error);
  }

  /** @param {number} code @returns {string} */
  #closeKey(code) {
    const key = CLOSE_KEYS[/** @type {keyof typeof CLOSE_KEYS} */ (code)];
    return key ?? (this.#ready ? "live.lost" : "live.refused");
  }
}

/** @param {{type?: string, code?: string, message?: string}} details */
function toError(details) {
  const key = ERROR_KEYS[/** @type {keyof typeof ERROR_KEYS} */ (details.type)];
  return key ? new LocalizedError(key) : new ApiError(400, details, 0);
}

/** @param {number} rate @param {StreamOptions} options */
function streamUrl(rate, { profile, adapt, decoding }) {
  const url = endpoint("v1/audio/stream");
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("rate", String(rate));
  url.searchParams.set("phonemes", "true");
  if (session.model) url.searchParams.set("model", session.model);
  if (profile?.name) url.searchParams.set("profile", profile.name);
  if (decoding) url.searchParams.set("decoding", decoding);
  if (adapt) url.searchParams.set("adapt", "true");
  return url;
}
