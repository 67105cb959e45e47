/** Synthetic sample recordings. */

import { byId, createElement } from "./dom.js";
import { endpoint } from "./endpoint.js";
import { t } from "./language.js";
import { LocalizedError } from "./problems.js";

const VOICES = ["english-slow", "english-hurried", "german", "polish"];

/** @param {(name: string, blob: Blob) => void} onSample @param {(error: unknown) => void} onError */
export function initSamples(onSample, onError) {
  byId("samples").replaceChildren(...VOICES.map((voice) => sampleButton(voice, onSample, onError)));
}

/**
 * @param {string} voice
 * @param {(name: string, blob: Blob) => void} onSample
 * @param {(error: unknown) => void} onError
 */
function sampleButton(voice, onSample, onError) {
  const label = createElement("span", { data: { t: `sample.${voice}` }, textContent: t(`sample.${voice}`) });
  const element = createElement(
    "button",
    { type: "button", className: "sample", data: { testid: `sample-${voice}` } },
    label,
  );
  element.addEventListener("click", () => {
    fetchSample(voice).then((blob) => onSample(`synthetic-${voice}.flac`, blob), onError);
  });
  return element;
}

/** @param {string} voice */
async function fetchSample(voice) {
  const response = await fetch(endpoint(`web/samples/${voice}.flac`)).catch(() => null);
  if (!response?.ok) throw new LocalizedError("error.sample");
  return new Blob([await response.arrayBuffer()], { type: "audio/flac" });
}
