/** The WebSocket of live mode: 16-bit chunks out, events in. */

import { checked, timed } from "./answers.js";
import { endpoint, parsed, session } from "./api.js";
import { Problem, ServerProblem } from "./problems.js";

const MOST_UNSENT_BYTES = 4_000_000;
const REFUSED = { authentication_error: "live.key", rate_limit_error: "live.busy" };
const CLOSED = { 1008: "live.key", 1013: "live.busy", 1009: "live.big", 1011: "live.fault" };

/**
 * @typedef {{profile: import("./types.js").Applied | null, adapt: boolean}} Adapting what applies at the start, and
 *   whether windows adapt those that follow
 * @typedef {{onReady: (told: any) => void, onWindow: (told: any) => void, onSegment: (told: any) => void,
 *   onFinal: (answer: import("./types.js").Answer, grown: object | null) => void, onProblem: (problem: Error) => void}} Hearer
 */

export class LiveSocket {
  /** @type {Int16Array<ArrayBuffer>[]} */
  #pending = [];
  #ready = false;
  #ended = false;

  /** @param {number} rate @param {Hearer} hearer @param {Adapting} adapting */
  constructor(rate, hearer, adapting) {
    this.hearer = hearer;
    this.adapting = adapting;
    const protocols = session.key ? ["phonemo", `phonemo.key.${session.key}`] : [];
    this.socket = new WebSocket(address(rate, adapting), protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", ({ data }) => this.#hear(data));
    this.socket.addEventListener("close", ({ code }) => this.#end(new Problem(this.#reason(code))));
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  send(pcm) {
    if (this.#ended) return;
    if (!this.#ready) return void this.#pending.push(pcm);
    this.socket.send(pcm);
    if (this.socket.bufferedAmount > MOST_UNSENT_BYTES) this.#end(new Problem("live.slow"));
  }

  /** Asks for the final answer. @returns {boolean} whether one will come */
  finish() {
    if (!this.#ready || this.#ended) return false;
    this.socket.send(JSON.stringify({ type: "finish" }));
    return true;
  }

  /** Forgets what the windows so far adapt. */
  reset() {
    if (this.#ready && !this.#ended && this.adapting.adapt)
      this.socket.send(JSON.stringify({ type: "reset", everything: true }));
  }

  /** Leaves without an answer. */
  close() {
    this.#ended = true;
    this.#pending = [];
    this.socket.close();
  }

  /** @param {string} data */
  #hear(data) {
    if (this.#ended) return;
    try {
      this.#dispatch(parsed(data));
    } catch (problem) {
      this.#end(/** @type {Error} */ (problem));
    }
  }

  /** @param {any} told */
  #dispatch(told) {
    const segment = told.segment && timed(told.segment);
    if (told.type === "ready") this.#begin(told);
    else if (told.type === "window") this.hearer.onWindow({ ...told, segment });
    else if (told.type === "segment") this.hearer.onSegment({ ...told, segment });
    else if (told.type === "final") this.#final(checked(told.prediction), told.profile_json ?? null);
    else if (told.type === "error") this.#end(refusal(told.error ?? {}));
  }

  /** @param {any} told */
  #begin(told) {
    this.#ready = true;
    const text = this.adapting.profile?.text;
    if (text) this.socket.send(JSON.stringify({ type: "profile", profile_json: JSON.parse(text) }));
    for (const pcm of this.#pending.splice(0)) this.send(pcm);
    this.hearer.onReady(told);
  }

  /** @param {import("./types.js").Answer} answer @param {object | null} grown */
  #final(answer, grown) {
    this.#ended = true;
    this.hearer.onFinal(answer, grown);
    this.socket.close();
  }

  /** @param {Error} problem */
  #end(problem) {
    if (this.#ended) return;
    this.close();
    this.hearer.onProblem(problem);
  }

  /** @param {number} code @returns {string} */
  #reason(code) {
    return CLOSED[/** @type {keyof typeof CLOSED} */ (code)] ?? (this.#ready ? "live.lost" : "live.refused");
  }
}

/** @param {{type?: string, code?: string, message?: string}} told */
function refusal(told) {
  const key = REFUSED[/** @type {keyof typeof REFUSED} */ (told.type)];
  return key ? new Problem(key) : new ServerProblem(400, told, 0);
}

/** @param {number} rate @param {Adapting} adapting */
function address(rate, { profile, adapt }) {
  const made = endpoint("v1/audio/stream");
  made.protocol = made.protocol.replace("http", "ws");
  made.searchParams.set("rate", String(rate));
  made.searchParams.set("phonemes", "true");
  if (session.model) made.searchParams.set("model", session.model);
  if (profile?.name) made.searchParams.set("profile", profile.name);
  if (adapt) made.searchParams.set("adapt", "true");
  return made;
}
