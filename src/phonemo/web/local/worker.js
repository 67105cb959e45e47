/** The worker: loads the model and recognizes, one request after the other. */

import { loadModel } from "./modelfiles.js";
import { createProfile, predict } from "./recognition.js";
import { closeStream, finishStream, openStream, push, reset } from "./livestream.js";

/** @type {Record<string, (parameters: any) => any>} */
const METHODS = { load: loadModel, predict, profile: createProfile, openStream, push, reset, finishStream, closeStream };

let last = Promise.resolve();
self.addEventListener("message", ({ data }) => {
  last = last.then(() => answer(data));
});

/** @param {{id: number, method: string, parameters: any}} request */
async function answer({ id, method, parameters }) {
  try {
    self.postMessage({ id, value: await METHODS[method](parameters) });
  } catch (error) {
    const { key, code, message } = /** @type {any} */ (error);
    self.postMessage({ id, error: { key, code, message: String(message ?? error) } });
  }
}
