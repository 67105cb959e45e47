/** The timeline: waveform, emotions, phonemes, cursor. */

import { TimeAxis } from "./axis.js";
import { attributedEmotion, describePhoneme, describeSegment } from "./details.js";
import { byId } from "./dom.js";
import { drawRuler, drawShares, drawWaveform } from "./drawing.js";
import { formatPoints } from "./format.js";
import { emotionName, t } from "./language.js";
import { Lane } from "./lane.js";
import { computePeaks } from "./peaks.js";
import { Player } from "./player.js";
import { renderSegmentKey } from "./segmentkey.js";
import { hasShares, shareScale, strength } from "./shares.js";
import { Transport } from "./transport.js";

const CONTEXT_SECONDS = 0.06;
const isTouch = matchMedia("(pointer: coarse)").matches;
const READABLE_PIXELS = 24;
const LONG_SECONDS = 30;
// A phone shows a few seconds at most; a closer zoom costs little overview there.
const MAX_VIEWS = isTouch ? 4 : 3;

/** @typedef {import("./types.js").Prediction} Prediction */

export class Timeline {
  /** @type {Prediction | null} */
  #prediction = null;
  /** @type {import("./peaks.js").Peaks | null} */
  #peaks = null;
  #scale = 1;
  /** @type {(() => string) | null} */
  #detail = null;

  constructor() {
    this.player = new Player();
    this.axis = new TimeAxis(byId("scroller"), byId("track"));
    this.transport = new Transport(this.axis, this.player);
    /** @type {Lane<import("./types.js").Segment>} */
    this.segments = new Lane(byId("segments"), this.axis, {
      minPixels: 3,
      render: renderSegment,
      onShow: (item) => this.#setDetail(() => describeSegment(item)),
      onPlay: (item) => this.player.playRange(item.start, item.end),
    });
    /** @type {Lane<import("./types.js").Span>} */
    this.phonemes = new Lane(byId("phonemes"), this.axis, {
      minPixels: 8,
      render: (node, item) => renderPhoneme(node, item, this.#scale),
      onShow: (item) =>
        this.#setDetail(() => describePhoneme(item, /** @type {Prediction} */ (this.#prediction))),
      onPlay: (item) => this.player.playRange(item.start - CONTEXT_SECONDS, item.end + CONTEXT_SECONDS),
    });
    this.axis.addEventListener("change", () => this.draw());
  }

  /** @param {Prediction} prediction @param {Blob} blob */
  async show(prediction, blob) {
    this.#prediction = prediction;
    this.#peaks = null;
    this.#scale = shareScale(prediction.spans ?? []);
    this.#detail = null;
    byId("phoneme-box").hidden = !prediction.spans?.length;
    this.player.load(blob);
    this.axis.load(prediction.seconds, readableScale(prediction), MAX_VIEWS);
    this.transport.load(prediction.seconds);
    this.segments.set(prediction.segments);
    this.phonemes.set(prediction.spans ?? []);
    this.render();
    const peaks = await computePeaks(blob);
    if (this.#prediction !== prediction) return;
    this.#peaks = peaks;
    this.transport.setDecoded(peaks !== null);
    this.draw();
  }

  clear() {
    this.#prediction = null;
    this.#peaks = null;
    this.player.unload();
  }

  /** Render in the current language. */
  render() {
    this.transport.render();
    if (!this.#prediction) return;
    this.segments.render();
    this.phonemes.render();
    this.#renderLegend(this.#prediction);
    renderSegmentKey(this.#prediction.segments);
    this.draw();
  }

  draw() {
    const prediction = this.#prediction;
    if (!prediction) return;
    this.segments.draw();
    this.phonemes.draw();
    drawWaveform(byId("wave-canvas"), this.axis, this.#peaks, prediction.segments);
    if (prediction.spans?.length) drawShares(byId("share-canvas"), this.axis, prediction.spans, this.#scale);
    drawRuler(byId("ruler-canvas"), this.axis);
    this.transport.renderPosition();
    this.#setDetail(this.#detail);
  }

  /** @param {Prediction} prediction */
  #hintKey(prediction) {
    if (!prediction.spans?.length) return prediction.segments.length ? "detail.hint.segments" : "no_speech";
    if (byId("phonemes").childElementCount <= 1 && prediction.spans.length > 1) return "detail.hint.dense";
    return matchMedia("(hover: none)").matches ? "detail.hint.touch" : "detail.hint";
  }

  /** @param {(() => string) | null} describe null for the hint */
  #setDetail(describe) {
    this.#detail = describe;
    const text = describe ? describe() : t(this.#hintKey(/** @type {Prediction} */ (this.#prediction)));
    const line = byId("phoneme-detail");
    line.classList.toggle("hint", !describe);
    // Screen readers repeat a live region when the same text is set again.
    if (line.textContent !== text) line.textContent = text;
  }

  /** @param {Prediction} prediction */
  #renderLegend(prediction) {
    const spans = prediction.spans ?? [];
    byId("legend").hidden = !hasShares(spans);
    if (byId("legend").hidden) return;
    const visible = spans.some((span) => strength(span.share, this.#scale) !== 0);
    for (const element of byId("legend").querySelectorAll("span")) element.hidden = !visible;
    byId("legend-low").textContent = t("legend.low", { points: formatPoints(this.#scale) });
    byId("legend-high").textContent = t("legend.high", { points: formatPoints(this.#scale) });
    const label = attributedEmotion(prediction);
    byId("legend-text").textContent = t(visible ? "legend.text" : "legend.none", { label });
  }
}

/**
 * Pixels per second at which most phonemes are readable; 0 (fit) for long recordings.
 * @param {Prediction} prediction
 */
function readableScale({ spans, seconds }) {
  if (!spans?.length || seconds > LONG_SECONDS) return 0;
  const lengths = spans.map(({ start, end }) => end - start).sort((left, right) => left - right);
  return READABLE_PIXELS / Math.max(0.01, lengths[Math.floor(lengths.length / 4)]);
}

/** @param {HTMLElement} node @param {import("./types.js").Segment} item */
function renderSegment(node, item) {
  node.className = "segment";
  Object.assign(node.dataset, { testid: "segment", emotion: item.label });
  const text = document.createElement("span");
  text.textContent = item.speaker ? `${item.speaker}: ${emotionName(item.label)}` : emotionName(item.label);
  node.replaceChildren(text);
}

/** @param {HTMLElement} node @param {import("./types.js").Span} item @param {number} scale */
function renderPhoneme(node, item, scale) {
  const signed = strength(item.share, scale);
  node.className = signed > 0 ? "phoneme adds" : signed < 0 ? "phoneme takes" : "phoneme";
  node.dataset.testid = "phoneme";
  node.style.setProperty("--strength", String(Math.abs(signed)));
  node.textContent = item.symbol;
}
