/** The timeline: a track for each channel or for the mix, ruler, cursor. */

import { TimeAxis } from "./axis.js";
import { channelName, isSplit, knownChannels, partsOf } from "./channels.js";
import { ChannelTrack, createTrackElements } from "./channeltrack.js";
import { byId } from "./dom.js";
import { drawRuler, fullLevel } from "./drawing.js";
import { t } from "./language.js";
import { computePeaks, peaksOf } from "./peaks.js";
import { Player } from "./player.js";
import { renderSegmentKey } from "./segmentkey.js";
import { renderShareLegend } from "./sharelegend.js";
import { Transport } from "./transport.js";

const isTouch = matchMedia("(pointer: coarse)").matches;
const READABLE_PIXELS = 24;
const LONG_SECONDS = 30;
// A phone shows a few seconds at most; a closer zoom costs little overview there.
const MAX_VIEWS = isTouch ? 4 : 3;

/** @typedef {import("./types.js").Prediction} Prediction */

export class Timeline {
  /** @type {Prediction | null} */
  #prediction = null;
  /** @type {import("./peaks.js").Waveforms | null} */
  #waveforms = null;
  /** @type {(() => string) | null} */
  #detail = null;
  /** @type {ChannelTrack[]} one for each channel of the recording with the most */
  #tracks = [];

  /** @param {(segment: import("./types.js").Segment) => void} onSegment called when a segment is pointed at */
  constructor(onSegment) {
    this.onSegment = onSegment;
    this.player = new Player();
    this.axis = new TimeAxis(byId("scroller"), byId("track"));
    this.transport = new Transport(this.axis, this.player);
    this.#addTrack(firstTrackElements());
    this.axis.addEventListener("change", () => this.draw());
  }

  /**
   * @param {Prediction} prediction
   * @param {Blob} blob
   * @returns {Promise<number>} the number of channels that the browser finds in the recording; 0 if it finds none
   */
  async show(prediction, blob) {
    this.#prediction = prediction;
    this.#waveforms = null;
    this.#detail = null;
    this.player.load(blob);
    this.axis.load(prediction.seconds, readableScale(prediction), MAX_VIEWS);
    this.transport.load(prediction.seconds);
    this.#showTracks(prediction);
    this.render();
    const waveforms = await computePeaks(blob);
    if (this.#prediction !== prediction) return 0;
    this.#waveforms = waveforms;
    this.transport.setDecoded(waveforms !== null);
    this.draw();
    return waveforms?.channels.length ?? 0;
  }

  clear() {
    this.#prediction = null;
    this.#waveforms = null;
    this.player.unload();
  }

  /** Mark a segment that is pointed at elsewhere. @param {import("./types.js").Segment} segment */
  mark(segment) {
    for (const track of this.#tracks) track.segments.mark(segment);
  }

  /** Scroll to a moment and play it. @param {number} start @param {number} end seconds */
  play(start, end) {
    this.axis.reveal(start, end);
    this.player.playRange(start, end);
  }

  /** Render in the current language. */
  render() {
    this.transport.render();
    if (!this.#prediction) return;
    for (const track of this.#tracks) track.render();
    renderShareLegend(this.#prediction);
    renderSegmentKey(isSplit(this.#prediction) ? [] : this.#prediction.segments);
    this.draw();
  }

  draw() {
    if (!this.#prediction) return;
    const drawn = this.#tracks.map((track) => ({ track, peaks: peaksOf(this.#waveforms, track.channel) }));
    const level = fullLevel(
      this.axis,
      drawn.map(({ peaks }) => peaks),
    );
    for (const { track, peaks } of drawn) track.draw(peaks, level);
    drawRuler(byId("ruler-canvas"), this.axis);
    this.transport.renderPosition();
    this.#setDetail(this.#detail);
  }

  /** @param {Prediction} prediction */
  #showTracks(prediction) {
    const parts = partsOf(prediction);
    while (this.#tracks.length < parts.length) this.#appendTrack();
    for (const [index, track] of this.#tracks.entries()) {
      const part = parts[index];
      if (part) track.show(part, () => trackName(part, prediction));
      else track.hide();
    }
  }

  #appendTrack() {
    const elements = createTrackElements();
    byId("ruler").before(elements.root);
    this.transport.addSeekArea(elements.wave);
    this.#addTrack(elements);
  }

  /** @param {import("./channeltrack.js").TrackElements} elements */
  #addTrack(elements) {
    const handlers = {
      onDetail: (/** @type {() => string} */ describe) => this.#setDetail(describe),
      onPlay: (/** @type {number} */ start, /** @type {number} */ end) => this.player.playRange(start, end),
      onSegment: (/** @type {import("./types.js").Segment} */ segment) => {
        this.mark(segment);
        this.onSegment(segment);
      },
    };
    this.#tracks.push(new ChannelTrack(elements, this.axis, handlers));
  }

  /** @param {Prediction} prediction */
  #hintKey(prediction) {
    const parts = partsOf(prediction);
    if (!parts.some(({ spans }) => spans?.length))
      return prediction.segments.length ? "detail.hint.segments" : "no_speech";
    if (this.#tracks.some((track) => track.isDense)) return "detail.hint.dense";
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
}

/** @returns {import("./channeltrack.js").TrackElements} */
function firstTrackElements() {
  return {
    root: byId("channel-first"),
    name: byId("channel-name"),
    wave: byId("waveform"),
    waveCanvas: byId("wave-canvas"),
    segments: byId("segments"),
    phonemeBox: byId("phoneme-box"),
    shareCanvas: byId("share-canvas"),
    phonemes: byId("phonemes"),
  };
}

/** Name of a track; the mix has none. @param {Prediction} part @param {Prediction} whole */
function trackName(part, whole) {
  return part.channel === undefined ? "" : channelName(part.channel, knownChannels(whole));
}

/**
 * Pixels per second at which most phonemes are readable; 0 (fit) for long recordings and several channels.
 * @param {Prediction} prediction
 */
function readableScale({ spans, seconds }) {
  if (!spans?.length || seconds > LONG_SECONDS) return 0;
  const lengths = spans.map(({ start, end }) => end - start).sort((left, right) => left - right);
  return READABLE_PIXELS / Math.max(0.01, lengths[Math.floor(lengths.length / 4)]);
}
