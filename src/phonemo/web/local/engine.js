/** The worker that recognizes, and the state of its model. */

import { LocalizedError } from "../problems.js";
import { missingFeature } from "./features.js";
import { siteCard } from "./sitecard.js";
import { WorkerClient } from "./workerclient.js";

const ABORTED = "error.aborted";

/**
 * @typedef {{state: "idle" | "loading" | "ready" | "failed", loaded: number, total: number, error: Error | null,
 *   offline: "unknown" | "ready" | "failed" | "unsupported"}} EngineStatus
 */

class Engine extends EventTarget {
  /** @type {WorkerClient | null} */
  #client = null;
  /** @type {Map<string, Promise<void>>} by model */
  #loading = new Map();
  #isOutdated = false;
  /** @type {EngineStatus} */
  status = { state: "idle", loaded: 0, total: 0, error: null, offline: "unknown" };

  /**
   * Load a model, unless that has begun.
   * @param {string} model
   * @param {(share: number) => void} [onProgress]
   */
  async ready(model, onProgress) {
    const report = () => this.status.total && onProgress?.(this.status.loaded / this.status.total);
    this.addEventListener("change", report);
    try {
      if (!this.#loading.has(model)) this.#loading.set(model, this.#load(model));
      await this.#loading.get(model);
    } finally {
      this.removeEventListener("change", report);
    }
  }

  /**
   * @param {string} method
   * @param {object} parameters
   * @param {Transferable[]} [transferred]
   */
  async call(method, parameters, transferred = []) {
    return this.#worker().call(method, parameters, transferred);
  }

  /** End the work in progress; the next request loads the model again, from the browser's cache. */
  stop() {
    const client = this.#client;
    this.#forget();
    client?.stop(new LocalizedError(ABORTED));
    this.#update({ state: "idle" });
  }

  /** The site's files are those of another version from now on, which no new worker of this page may mix with its own. */
  outdate() {
    this.#isOutdated = true;
  }

  /** @param {EngineStatus["offline"]} offline */
  setOffline(offline) {
    this.#update({ offline });
  }

  /** @param {string} model */
  async #load(model) {
    try {
      const missing = missingFeature();
      if (missing) throw new LocalizedError("place.unsupported", { name: missing });
      const card = await siteCard();
      const chosen = card.models.find(({ id }) => id === model) ?? card.models[0];
      const files = [...Object.values(card.engine), ...Object.values(chosen.files)];
      const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
      this.#update({ state: "loading", loaded: 0, total, error: null });
      const base = new URL("./", document.baseURI).href;
      await this.call("load", { base, engine: card.engine, model: chosen });
      this.#update({ state: "ready", loaded: total });
    } catch (error) {
      if (error instanceof LocalizedError && error.key === ABORTED) throw error;
      this.#loading.delete(model);
      const shown = error instanceof LocalizedError ? error : new LocalizedError("place.failed", { message: String(error) });
      this.#update({ state: "failed", error: shown });
      throw shown;
    }
  }

  #worker() {
    if (!this.#client && this.#isOutdated) throw new LocalizedError("place.outdated");
    this.#client ??= new WorkerClient(
      (bytes) => this.#update({ loaded: this.status.loaded + bytes }),
      () => this.#forget(),
    );
    return this.#client;
  }

  /** The next request starts another worker. */
  #forget() {
    this.#client = null;
    this.#loading.clear();
  }

  /** @param {Partial<EngineStatus>} changes */
  #update(changes) {
    this.status = { ...this.status, ...changes };
    this.dispatchEvent(new Event("change"));
  }
}

export const engine = new Engine();
