/** What is drawn of one channel, or of the mix: waveform, emotions, phonemes. */

import { describePhoneme, describeSegment, emotionMark } from "./details.js";
import { createElement } from "./dom.js";
import { drawShares, drawWaveform } from "./drawing.js";
import { emotionName, t } from "./language.js";
import { Lane } from "./lane.js";
import { isNotable, strength } from "./shares.js";

const CONTEXT_SECONDS = 0.06;

/**
 * @typedef {import("./types.js").Prediction} Prediction
 * @typedef {{root: HTMLElement, name: HTMLElement, wave: HTMLElement, waveCanvas: HTMLCanvasElement,
 *   segments: HTMLElement, phonemeBox: HTMLElement, shareCanvas: HTMLCanvasElement,
 *   phonemes: HTMLElement}} TrackElements
 * @typedef {{onDetail: (describe: () => string) => void, onPlay: (start: number, end: number) => void,
 *   onSegment: (segment: import("./types.js").Segment) => void}} TrackHandlers
 */

export class ChannelTrack {
  /** @type {Prediction | null} */
  #part = null;
  /** @type {() => string} */
  #name = () => "";

  /** @param {TrackElements} elements @param {import("./axis.js").TimeAxis} axis @param {TrackHandlers} handlers */
  constructor(elements, axis, handlers) {
    this.elements = elements;
    this.axis = axis;
    const detail = (/** @type {() => string} */ describe) => handlers.onDetail(() => this.#prefixed(describe()));
    /** @type {Lane<import("./types.js").Segment>} */
    this.segments = new Lane(elements.segments, axis, {
      minPixels: 3,
      render: renderSegment,
      onShow: (item) => {
        detail(() => describeSegment(item));
        handlers.onSegment(item);
      },
      onPlay: (item) => handlers.onPlay(item.start, item.end),
    });
    /** @type {Lane<import("./types.js").Span>} */
    this.phonemes = new Lane(elements.phonemes, axis, {
      minPixels: 8,
      render: renderPhoneme,
      onShow: (item) => detail(() => describePhoneme(item, /** @type {Prediction} */ (this.#part))),
      onPlay: (item) => handlers.onPlay(item.start - CONTEXT_SECONDS, item.end + CONTEXT_SECONDS),
    });
  }

  /** The channel from 1 on; undefined for the mix. */
  get channel() {
    return this.#part?.channel;
  }

  /** Whether the phonemes are too narrow to be read. */
  get isDense() {
    return this.elements.phonemes.childElementCount <= 1 && this.phonemes.items.length > 1;
  }

  /**
   * @param {Prediction} part
   * @param {() => string} name of the channel; an empty text for the mix
   */
  show(part, name) {
    this.#part = part;
    this.#name = name;
    this.elements.root.hidden = false;
    this.elements.phonemeBox.hidden = !part.spans?.length;
    this.segments.set(part.segments);
    this.phonemes.set(part.spans ?? []);
  }

  hide() {
    this.#part = null;
    this.elements.root.hidden = true;
    this.segments.set([]);
    this.phonemes.set([]);
  }

  /** Render in the current language. */
  render() {
    const name = this.#name();
    const { root, name: heading, segments, phonemes } = this.elements;
    root.classList.toggle("named", name !== "");
    heading.textContent = name;
    heading.hidden = name === "";
    segments.setAttribute("aria-label", this.#prefixed(t("segments")));
    phonemes.setAttribute("aria-label", this.#prefixed(t("phonemes")));
    this.segments.render();
    this.phonemes.render();
  }

  /** @param {import("./peaks.js").Peaks | null} peaks @param {number} level drawn at full height */
  draw(peaks, level) {
    if (!this.#part) return;
    const { segments, spans } = this.#part;
    this.segments.draw();
    this.phonemes.draw();
    // An unsure segment has the color of no emotion.
    const colored = segments.map((segment) => (segment.unsure ? { ...segment, label: "" } : segment));
    drawWaveform(this.elements.waveCanvas, this.axis, peaks, colored, level);
    if (spans?.length) drawShares(this.elements.shareCanvas, this.axis, spans);
  }

  /** @param {string} text */
  #prefixed(text) {
    const name = this.#name();
    return name ? t("channel.text", { name, text }) : text;
  }
}

/** The elements of a further channel; those of the first are in the page. @returns {TrackElements} */
export function createTrackElements() {
  const waveCanvas = createElement("canvas");
  const shareCanvas = createElement("canvas");
  const name = createElement("h4", { className: "channel-name" });
  const wave = createElement("div", { className: "canvas-layer wave" }, waveCanvas);
  const segments = createElement("div", { className: "lane segment-lane", role: "group" });
  const phonemes = createElement("div", { className: "lane phoneme-lane", role: "group" });
  const underlay = createElement("div", { className: "canvas-layer underlay" }, shareCanvas);
  const phonemeBox = createElement("div", { className: "phoneme-box" }, underlay, phonemes);
  const settings = { className: "channel", data: { testid: "channel-track" } };
  const root = createElement("div", settings, name, wave, segments, phonemeBox);
  return { root, name, wave, waveCanvas, segments, phonemeBox, shareCanvas, phonemes };
}

/** @param {HTMLElement} node @param {import("./types.js").Segment} item */
function renderSegment(node, item) {
  const doubt = item.unsure ? "?" : "";
  const name = `${item.speaker ? `${item.speaker}: ` : ""}${emotionName(item.label)}${doubt}`;
  node.className = item.unsure ? "segment unsure" : "segment";
  Object.assign(node.dataset, { testid: "segment", emotion: item.label, fit: fitOf(name) });
  node.replaceChildren(
    createElement("span", { className: "segment-name", textContent: name }),
    createElement("span", { className: "segment-mark", textContent: `${emotionMark(item.label)}${doubt}` }),
  );
}

/** Which width the name needs; below it the style sheet shows the letters. @param {string} name */
function fitOf(name) {
  const letters = [...name].reduce((sum, letter) => sum + (letter > "\u2e7f" ? 2 : 1), 0);
  return letters <= 7 ? "short" : letters <= 10 ? "medium" : letters <= 13 ? "long" : "longest";
}

/** @param {HTMLElement} node @param {import("./types.js").Span} item */
function renderPhoneme(node, item) {
  const signed = strength(item.share);
  node.className = signed > 0 ? "phoneme adds" : signed < 0 ? "phoneme takes" : "phoneme";
  node.classList.toggle("notable", isNotable(item.share));
  node.dataset.testid = "phoneme";
  node.style.setProperty("--strength", String(Math.abs(signed)));
  node.textContent = item.symbol;
}
