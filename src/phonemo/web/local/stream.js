/** Live mode in the worker: 16-bit chunks in, events out, as the server's WebSocket has them. */

import { parsePrediction, parseSegment } from "../answers.js";
import { LocalizedError } from "../problems.js";
import { session } from "../session.js";
import { engine } from "./engine.js";
import { languageFile, siteCard } from "./sitecard.js";
import { summarize } from "./summary.js";

const FULL_SCALE = 32_768;
// A browser that falls so far behind never catches up.
const MAX_BEHIND_SECONDS = 30;
// The worker was stopped, for a canceled recording too, or stopped itself.
const LOST = new Set(["error.aborted", "place.worker"]);

/** @param {any} error @returns {Error} */
const lostOr = (error) => (LOST.has(error.key) ? new LocalizedError("live.lost") : error);

export class LocalStream {
  #ended = false;
  #behind = 0;
  #model = "";
  /** @type {Promise<any>} */
  #last;

  /**
   * @param {number} rate
   * @param {import("../types.js").StreamHandlers} handlers
   * @param {import("../types.js").StreamOptions} options
   */
  constructor(rate, handlers, options) {
    this.rate = rate;
    this.handlers = handlers;
    this.adapt = options.adapt;
    this.#last = this.#open(options).catch((error) => this.#fail(error));
  }

  /** @param {Int16Array<ArrayBuffer>} pcm */
  send(pcm) {
    if (this.#ended) return;
    const samples = Float32Array.from(pcm, (value) => value / FULL_SCALE);
    const seconds = samples.length / this.rate;
    this.#behind += seconds;
    if (this.#behind > MAX_BEHIND_SECONDS) return this.#fail(new LocalizedError("live.slow"));
    this.#then(async () => {
      this.#emit(await engine.call("push", { samples }, [samples.buffer]));
      this.#behind -= seconds;
    });
  }

  /** @returns {boolean} whether a prediction can be expected */
  finish() {
    if (this.#ended) return false;
    this.#then(() => this.#finish());
    return true;
  }

  /** Reset the profile that adapts to the session. */
  reset() {
    if (this.adapt) this.#then(() => engine.call("reset", {}));
  }

  /** Close without a prediction. */
  close() {
    if (this.#ended) return;
    this.#ended = true;
    engine.call("closeStream", {}).catch(() => {});
  }

  /** @param {import("../types.js").StreamOptions} options */
  async #open({ profile, adapt, decoding }) {
    const card = await siteCard();
    const { id } = card.models.find((model) => model.id === session.model) ?? card.models[0];
    this.#model = id;
    await engine.ready(id);
    const applied = profile?.text ? JSON.parse(profile.text) : null;
    const language = languageFile(card, decoding);
    const request = { model: id, rate: this.rate, profile: applied, adapt, language };
    this.handlers.onReady(await engine.call("openStream", request));
  }

  async #finish() {
    const { events, prediction, profile } = await engine.call("finishStream", {});
    this.#emit(events);
    if (this.#ended) return;
    this.#ended = true;
    const answer = { model: this.#model, ...prediction };
    this.handlers.onFinal(parsePrediction({ ...answer, summary: summarize(answer) }), profile ?? null);
  }

  /** @param {any[]} events */
  #emit(events) {
    for (const event of this.#ended ? [] : events) {
      const parsed = { ...event, segment: parseSegment(event.segment) };
      if (event.type === "window") this.handlers.onWindow(parsed);
      else if (event.type === "segment") this.handlers.onSegment(parsed);
    }
  }

  /** One after the other. @param {() => Promise<any>} work */
  #then(work) {
    this.#last = this.#last.then(() => (this.#ended ? undefined : work())).catch((error) => this.#fail(lostOr(error)));
  }

  /** @param {Error} error */
  #fail(error) {
    if (this.#ended) return;
    this.close();
    this.handlers.onError(error);
  }
}
