/** The choice of the spoken language, for the phonemes of the recording that is shown; absent where the model has none. */

import { byId, createElement } from "./dom.js";
import { t } from "./language.js";
import { decodingsOf } from "./models.js";
import { isOpen } from "./queue.js";

// Languages whose phoneme statistics ship with phonemo.
const LANGUAGES = ["english"];

/** @typedef {import("./types.js").Job} Job */

export class SpeechChoice {
  /** @type {Job | null} */
  #job = null;

  /** @param {(job: Job, decoding: string) => void} onChoose with a language, or "" for any */
  constructor(onChoose) {
    byId("speech-select").addEventListener("change", () => {
      if (this.#job) onChoose(this.#job, byId("speech-select").value);
    });
  }

  /** @param {Job} job with an answer */
  show(job) {
    this.#job = job;
    this.render();
  }

  /** Render in the current language, for the current state. */
  render() {
    const job = this.#job;
    if (!job?.prediction) return;
    const known = LANGUAGES.filter((language) => decodingsOf(job.prediction?.model).includes(language));
    const hasPhonemes = job.prediction.label !== null && job.prediction.spans !== null;
    byId("speech-choice").hidden = !known.length || !hasPhonemes || job.origin === "live";
    const select = byId("speech-select");
    const options = ["", ...known].map((value) => createElement("option", { value, textContent: t(`speech.${value || "any"}`) }));
    select.replaceChildren(...options);
    select.value = job.decoding;
    select.disabled = isOpen(job);
  }
}
