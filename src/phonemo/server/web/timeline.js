/** A recording in time: waveform, emotions, phonemes, cursor. */

import { Axis } from "./axis.js";
import { phonemeWords, segmentWords, winner } from "./details.js";
import { byId } from "./dom.js";
import { drawRuler, drawShares, drawWave } from "./drawing.js";
import { points } from "./format.js";
import { emotionName, t } from "./language.js";
import { Lane } from "./lane.js";
import { peaksOf } from "./peaks.js";
import { Player } from "./player.js";
import { showSegmentKey } from "./segmentkey.js";
import { hasShares, scaleOf, strength } from "./shares.js";
import { Transport } from "./transport.js";

const CONTEXT_SECONDS = 0.06;
const coarse = matchMedia("(pointer: coarse)").matches;
const READABLE_PIXELS = 24;
const LONG_SECONDS = 30;
// A phone shows a few seconds at most; more zoom costs it less overview than it gains.
const MOST_VIEWS = coarse ? 4 : 3;

/** @typedef {import("./types.js").Answer} Answer */

export class Timeline {
  /** @type {Answer | null} */
  #answer = null;
  /** @type {import("./peaks.js").Peaks | null} */
  #peaks = null;
  #scale = 1;
  /** @type {(() => string) | null} */
  #detail = null;

  constructor() {
    this.player = new Player();
    this.axis = new Axis(byId("scroller"), byId("track"));
    this.transport = new Transport(this.axis, this.player);
    /** @type {Lane<import("./types.js").Segment>} */
    this.segments = new Lane(byId("segments"), this.axis, {
      narrowest: 3,
      dress: dressSegment,
      onShow: (item) => this.#say(() => segmentWords(item)),
      onPlay: (item) => this.player.stretch(item.start, item.end),
    });
    /** @type {Lane<import("./types.js").Span>} */
    this.phonemes = new Lane(byId("phonemes"), this.axis, {
      narrowest: 8,
      dress: (node, item) => dressPhoneme(node, item, this.#scale),
      onShow: (item) => this.#say(() => phonemeWords(item, /** @type {Answer} */ (this.#answer))),
      onPlay: (item) => this.player.stretch(item.start - CONTEXT_SECONDS, item.end + CONTEXT_SECONDS),
    });
    this.axis.addEventListener("change", () => this.draw());
  }

  /** @param {Answer} answer @param {Blob} blob */
  async show(answer, blob) {
    this.#answer = answer;
    this.#peaks = null;
    this.#scale = scaleOf(answer.spans ?? []);
    this.#detail = null;
    byId("phoneme-box").hidden = !answer.spans?.length;
    this.player.load(blob);
    this.axis.begin(answer.seconds, readable(answer), MOST_VIEWS);
    this.transport.begin(answer.seconds);
    this.segments.set(answer.segments);
    this.phonemes.set(answer.spans ?? []);
    this.render();
    const peaks = await peaksOf(blob);
    if (this.#answer !== answer) return;
    this.#peaks = peaks;
    this.transport.decoded(peaks !== null);
    this.draw();
  }

  clear() {
    this.#answer = null;
    this.#peaks = null;
    this.player.unload();
  }

  /** In the language of the page. */
  render() {
    this.transport.render();
    if (!this.#answer) return;
    this.segments.dress();
    this.phonemes.dress();
    this.#legend(this.#answer);
    showSegmentKey(this.#answer.segments);
    this.draw();
  }

  draw() {
    const answer = this.#answer;
    if (!answer) return;
    this.segments.draw();
    this.phonemes.draw();
    drawWave(byId("wave-canvas"), this.axis, this.#peaks, answer.segments);
    if (answer.spans?.length) drawShares(byId("share-canvas"), this.axis, answer.spans, this.#scale);
    drawRuler(byId("ruler-canvas"), this.axis);
    this.transport.place();
    this.#say(this.#detail);
  }

  /** @param {Answer} answer */
  #hint(answer) {
    if (!answer.spans?.length) return answer.segments.length ? "detail.hint.segments" : "nothing";
    if (byId("phonemes").childElementCount <= 1 && answer.spans.length > 1) return "detail.hint.dense";
    return matchMedia("(hover: none)").matches ? "detail.hint.touch" : "detail.hint";
  }

  /** @param {(() => string) | null} words null for the hint */
  #say(words) {
    this.#detail = words;
    const text = words ? words() : t(this.#hint(/** @type {Answer} */ (this.#answer)));
    const line = byId("phoneme-detail");
    line.classList.toggle("hint", !words);
    // A live region speaks again when the same words are set again.
    if (line.textContent !== text) line.textContent = text;
  }

  /** @param {Answer} answer */
  #legend(answer) {
    const spans = answer.spans ?? [];
    const shown = hasShares(spans);
    byId("legend").hidden = !shown;
    if (!shown) return;
    const seen = spans.some((one) => strength(one.share, this.#scale) !== 0);
    for (const one of byId("legend").querySelectorAll("span")) one.hidden = !seen;
    byId("legend-low").textContent = t("legend.low", { points: points(this.#scale) });
    byId("legend-high").textContent = t("legend.high", { points: points(this.#scale) });
    byId("legend-words").textContent = t(seen ? "legend.words" : "legend.none", { label: winner(answer) });
  }
}

/**
 * Pixels a second at which most phonemes can be read; long recordings begin with the whole.
 * @param {Answer} answer
 */
function readable({ spans, seconds }) {
  if (!spans?.length || seconds > LONG_SECONDS) return 0;
  const lengths = spans.map((one) => one.end - one.start).sort((one, other) => one - other);
  return READABLE_PIXELS / Math.max(0.01, lengths[Math.floor(lengths.length / 4)]);
}

/** @param {HTMLElement} node @param {import("./types.js").Segment} item */
function dressSegment(node, item) {
  node.className = "segment";
  Object.assign(node.dataset, { testid: "segment", emotion: item.label });
  const words = document.createElement("span");
  words.textContent = item.speaker ? `${item.speaker}: ${emotionName(item.label)}` : emotionName(item.label);
  node.replaceChildren(words);
}

/** @param {HTMLElement} node @param {import("./types.js").Span} item @param {number} scale */
function dressPhoneme(node, item, scale) {
  const strong = strength(item.share, scale);
  node.className = strong > 0 ? "phoneme adds" : strong < 0 ? "phoneme takes" : "phoneme";
  node.dataset.testid = "phoneme";
  node.style.setProperty("--strong", String(Math.abs(strong)));
  node.textContent = item.symbol;
}
