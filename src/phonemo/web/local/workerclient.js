/** Calls to the worker, each with its answer. */

import { endpoint } from "../endpoint.js";
import { ApiError, LocalizedError } from "../problems.js";
import { scriptUrl } from "./trusted.js";

const UNPROCESSABLE = 422;

/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void}} Pending */

export class WorkerClient {
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #lastId = 0;
  #url = URL.createObjectURL(new Blob([`import ${JSON.stringify(endpoint("web/local/worker.js").href)};`], { type: "text/javascript" }));

  /**
   * @param {(bytes: number) => void} onBytes of the model that arrived
   * @param {() => void} onDead called once this worker answers no more
   */
  constructor(onBytes, onDead) {
    this.onBytes = onBytes;
    this.onDead = onDead;
    // A worker from a blob has this page's content security policy; one from a file of a static host would have none.
    this.worker = new Worker(scriptUrl(this.#url), { type: "module", name: "phonemo" });
    this.worker.addEventListener("message", ({ data }) => this.#onMessage(data));
    this.worker.addEventListener("error", () => this.#onError());
  }

  /**
   * @param {string} method
   * @param {object} parameters
   * @param {Transferable[]} transferred
   * @returns {Promise<any>}
   */
  call(method, parameters, transferred = []) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, parameters }, transferred);
    });
  }

  /** @param {Error} error of the calls in progress */
  stop(error) {
    this.worker.terminate();
    URL.revokeObjectURL(this.#url);
    this.#failAll(error);
  }

  /** A script of it is missing, or it ended itself: it answers no request any more. */
  #onError() {
    this.onDead();
    this.stop(new LocalizedError("place.worker"));
  }

  /** @param {any} data */
  #onMessage({ id, value, error, bytes }) {
    if (bytes !== undefined) return this.onBytes(bytes);
    const call = this.#pending.get(id);
    this.#pending.delete(id);
    if (error) call?.reject(toError(error));
    else call?.resolve(value);
  }

  /** @param {Error} error */
  #failAll(error) {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

/** @param {{key?: string, code?: string, message: string}} error */
function toError({ key, code, message }) {
  return key ? new LocalizedError(key, { message }) : new ApiError(UNPROCESSABLE, { code, message }, 0);
}
