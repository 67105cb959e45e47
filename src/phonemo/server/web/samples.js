/** Clips of the synthesiser, for somebody without a recording at hand. */

import { endpoint } from "./api.js";
import { byId, make } from "./dom.js";
import { t } from "./language.js";
import { Problem } from "./problems.js";

const VOICES = ["english-slow", "english-hurried", "german", "polish"];

/** @param {(name: string, blob: Blob) => void} onSample @param {(problem: unknown) => void} onProblem */
export function startSamples(onSample, onProblem) {
  byId("samples").replaceChildren(...VOICES.map((voice) => button(voice, onSample, onProblem)));
}

/**
 * @param {string} voice
 * @param {(name: string, blob: Blob) => void} onSample
 * @param {(problem: unknown) => void} onProblem
 */
function button(voice, onSample, onProblem) {
  const words = make("span", { data: { t: `sample.${voice}` }, textContent: t(`sample.${voice}`) });
  const made = make(
    "button",
    { type: "button", className: "sample", data: { testid: `sample-${voice}` } },
    words,
  );
  made.addEventListener("click", () => {
    fetched(voice).then((blob) => onSample(`synthetic-${voice}.flac`, blob), onProblem);
  });
  return made;
}

/** @param {string} voice */
async function fetched(voice) {
  const answer = await fetch(endpoint(`web/samples/${voice}.flac`)).catch(() => null);
  if (!answer?.ok) throw new Problem("error.sample");
  return new Blob([await answer.arrayBuffer()], { type: "audio/flac" });
}
