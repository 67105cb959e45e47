/** Canvas drawing: waveform, zoomed-out shares, ruler. Each canvas is as wide as the visible range. */

import { formatNumber } from "./format.js";
import { maxRmsLevel, rmsLevel } from "./peaks.js";
import { isNotable, strength } from "./shares.js";
import { emotionColor, themeColor } from "./tones.js";

const BAR_PITCH = 3;
const BAR_WIDTH = 2;
const MAX_HEIGHT = 0.92;
const MIN_LEVEL = 0.01;
const TICK_SECONDS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120];
const TICK_PIXELS = 72;

/** @typedef {import("./axis.js").TimeAxis} TimeAxis */

/** Clear a canvas and scale it to CSS pixels. @param {HTMLCanvasElement} canvas */
function prepareCanvas(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(ratio, ratio);
  return { context, width, height };
}

/**
 * Level that fills a track: of the loudest, so that channels can be compared.
 * @param {TimeAxis} axis
 * @param {(import("./peaks.js").Peaks | null)[]} tracks
 */
export function fullLevel(axis, tracks) {
  const levels = tracks.map((peaks) => (peaks ? maxRmsLevel(peaks, BAR_PITCH / axis.scale) : 0));
  return Math.max(MIN_LEVEL, ...levels);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {TimeAxis} axis
 * @param {import("./peaks.js").Peaks | null} peaks
 * @param {import("./types.js").Segment[]} segments
 * @param {number} level drawn at full height
 */
export function drawWaveform(canvas, axis, peaks, segments, level) {
  const { context, width, height } = prepareCanvas(canvas);
  const left = axis.x(axis.visibleStart);
  drawSegments(context, axis, segments, height);
  const gain = MAX_HEIGHT / level;
  let index = 0;
  for (let x = -(left % BAR_PITCH); x < width; x += BAR_PITCH) {
    const from = (left + x) / axis.scale;
    const to = from + BAR_PITCH / axis.scale;
    if (from > axis.seconds) return;
    while (index < segments.length && segments[index].end <= from) index += 1;
    const inSegment = index < segments.length && segments[index].start <= to;
    const barHeight = Math.max(BAR_WIDTH, peaks ? height * Math.min(1, gain * rmsLevel(peaks, from, to)) : 0);
    context.fillStyle = inSegment ? emotionColor(segments[index].label) : themeColor("text-muted");
    context.fillRect(x, (height - barHeight) / 2, BAR_WIDTH, barHeight);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {TimeAxis} axis
 * @param {import("./types.js").Segment[]} segments
 * @param {number} height
 */
function drawSegments(context, axis, segments, height) {
  context.globalAlpha = 0.1;
  for (const { start, end, label } of segments) {
    if (end < axis.visibleStart || start > axis.visibleEnd) continue;
    context.fillStyle = emotionColor(label);
    context.fillRect(axis.x(start - axis.visibleStart), 0, axis.x(end - start), height);
  }
  context.globalAlpha = 1;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {TimeAxis} axis
 * @param {import("./types.js").Span[]} spans
 */
export function drawShares(canvas, axis, spans) {
  const { context, height } = prepareCanvas(canvas);
  for (const { start, end, share } of spans) {
    if (end < axis.visibleStart || start > axis.visibleEnd) continue;
    const signed = strength(share);
    const barHeight = Math.max(2, (Math.abs(signed) * height) / 2);
    context.fillStyle = themeColor(isNotable(share) ? (signed > 0 ? "adds" : "takes") : signed ? "control-border" : "border");
    const top = signed < 0 ? height / 2 : height / 2 - barHeight;
    context.fillRect(
      axis.x(start - axis.visibleStart),
      signed ? top : height / 2 - 1,
      Math.max(1, axis.x(end - start) - 1),
      barHeight,
    );
  }
}

/** @param {HTMLCanvasElement} canvas @param {TimeAxis} axis */
export function drawRuler(canvas, axis) {
  const { context, height } = prepareCanvas(canvas);
  const step = TICK_SECONDS.find((seconds) => axis.x(seconds) >= TICK_PIXELS) ?? 300;
  const style = getComputedStyle(canvas);
  context.font = `${style.fontSize} ${style.fontFamily}`;
  context.textBaseline = "bottom";
  for (
    let count = Math.floor(axis.visibleStart / step);
    count * step <= Math.min(axis.visibleEnd, axis.seconds);
    count += 1
  ) {
    const x = axis.x(count * step - axis.visibleStart);
    context.fillStyle = themeColor("border");
    context.fillRect(x, 0, 1, 6);
    context.fillStyle = themeColor("text-muted");
    context.fillText(tickLabel(count * step, step), x + 4, height);
  }
}

/** @param {number} seconds @param {number} step */
function tickLabel(seconds, step) {
  if (step < 1) return formatNumber(seconds, step < 0.1 ? 2 : 1);
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(Math.round(seconds - 60 * minutes)).padStart(2, "0")}`;
}
