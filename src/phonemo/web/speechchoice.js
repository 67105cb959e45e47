/** The choice of the spoken language, by which phonemes are decoded; absent where the model knows none. */

import { byId, createElement } from "./dom.js";
import { t } from "./language.js";
import { chosenModel } from "./models.js";
import { session } from "./session.js";

// Decodings for any language.
const PLAIN = new Set(["best-path", "beam-search", "language-model"]);

/** @param {() => void} onChoose called when `session.decoding` has changed */
export function initSpeechChoice(onChoose) {
  byId("speech-select").addEventListener("change", () => {
    session.decoding = byId("speech-select").value;
    onChoose();
  });
}

/** Render in the current language, for the model of the next recording. */
export function renderSpeechChoice() {
  const languages = (chosenModel()?.decodings ?? []).filter((name) => !PLAIN.has(name));
  byId("speech-choice").hidden = !languages.length;
  const options = ["", ...languages].map((value) => createElement("option", { value, textContent: languageName(value) }));
  byId("speech-select").replaceChildren(...options);
  byId("speech-select").value = languages.includes(session.decoding) ? session.decoding : "";
}

/** @param {string} decoding a language, or "" for any */
export const languageName = (decoding) => t(`speech.${decoding || "any"}`);
