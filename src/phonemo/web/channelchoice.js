/** The choice of channels of the recording that is shown; absent for a recording with one channel. */

import { channelName, knownChannels } from "./channels.js";
import { byId, createElement } from "./dom.js";
import { t } from "./language.js";

/** @typedef {import("./types.js").Job} Job */

export class ChannelChoice {
  /** @type {Job | null} */
  #job = null;
  #count = 1;

  /** @param {(job: Job, channels: string) => void} onChoose with "mix", "split" or the number of a channel */
  constructor(onChoose) {
    byId("channel-select").addEventListener("change", () => {
      if (this.#job) onChoose(this.#job, byId("channel-select").value);
    });
  }

  /** Number of channels, as far as it is known. */
  get count() {
    return this.#count;
  }

  /** @param {Job} job with an answer */
  show(job) {
    const prediction = /** @type {import("./types.js").Prediction} */ (job.prediction);
    this.#count = Math.max(job === this.#job ? this.#count : 1, knownChannels(prediction));
    this.#job = job;
    this.render();
  }

  /** @param {number} count what the browser found in the file */
  setCount(count) {
    this.#count = Math.max(this.#count, count);
    this.render();
  }

  /** Render in the current language, for the current state. */
  render() {
    const job = this.#job;
    if (!job) return;
    byId("channel-choice").hidden = this.#count < 2 || job.origin === "live";
    byId("channel-text").textContent = t("channels.count", { count: this.#count });
    const select = byId("channel-select");
    select.replaceChildren(...this.#options());
    select.value = job.channels;
  }

  #options() {
    const single = Array.from({ length: this.#count }, (_, index) => [
      String(index + 1),
      channelName(index + 1, this.#count),
    ]);
    const all = [["mix", t("channels.mix")], ["split", t("channels.split")], ...single];
    return all.map(([value, textContent]) => createElement("option", { value, textContent }));
  }
}
