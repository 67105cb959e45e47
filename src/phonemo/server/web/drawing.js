/** What is drawn on canvases: waveform, shares from afar, ruler. Each canvas is as wide as the view. */

import { decimal } from "./format.js";
import { loudest, loudness } from "./peaks.js";
import { strength } from "./shares.js";
import { paint, tone } from "./tones.js";

const STEP = 3;
const BAR = 2;
const TALLEST = 0.92;
const QUIETEST_SCALE = 0.01;
const TICKS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120];
const TICK_PIXELS = 72;

/** @typedef {import("./axis.js").Axis} Axis */

/** A clean sheet in CSS pixels. @param {HTMLCanvasElement} canvas */
function sheet(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(ratio, ratio);
  return { pen, width, height };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Axis} axis
 * @param {import("./peaks.js").Peaks | null} peaks
 * @param {import("./types.js").Segment[]} segments
 */
export function drawWave(canvas, axis, peaks, segments) {
  const { pen, width, height } = sheet(canvas);
  const left = axis.x(axis.from);
  drawBands(pen, axis, segments, height);
  const gain = peaks ? TALLEST / Math.max(loudest(peaks, STEP / axis.scale), QUIETEST_SCALE) : 0;
  let place = 0;
  for (let x = -(left % STEP); x < width; x += STEP) {
    const from = (left + x) / axis.scale;
    const to = from + STEP / axis.scale;
    if (from > axis.seconds) return;
    while (place < segments.length && segments[place].end <= from) place += 1;
    const inside = place < segments.length && segments[place].start <= to;
    const tall = Math.max(BAR, peaks ? height * Math.min(1, gain * loudness(peaks, from, to)) : 0);
    pen.fillStyle = inside ? tone(segments[place].label) : paint("muted");
    pen.fillRect(x, (height - tall) / 2, BAR, tall);
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Axis} axis
 * @param {import("./types.js").Segment[]} segments
 * @param {number} height
 */
function drawBands(pen, axis, segments, height) {
  pen.globalAlpha = 0.1;
  for (const { start, end, label } of segments) {
    if (end < axis.from || start > axis.to) continue;
    pen.fillStyle = tone(label);
    pen.fillRect(axis.x(start - axis.from), 0, axis.x(end - start), height);
  }
  pen.globalAlpha = 1;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Axis} axis
 * @param {import("./types.js").Span[]} spans
 * @param {number} scale the share with the full height
 */
export function drawShares(canvas, axis, spans, scale) {
  const { pen, height } = sheet(canvas);
  for (const { start, end, share } of spans) {
    if (end < axis.from || start > axis.to) continue;
    const strong = strength(share, scale);
    const tall = Math.max(2, (Math.abs(strong) * height) / 2);
    pen.fillStyle = paint(strong > 0 ? "adds" : strong < 0 ? "takes" : "line");
    const top = strong < 0 ? height / 2 : height / 2 - tall;
    pen.fillRect(
      axis.x(start - axis.from),
      strong ? top : height / 2 - 1,
      Math.max(1, axis.x(end - start) - 1),
      tall,
    );
  }
}

/** @param {HTMLCanvasElement} canvas @param {Axis} axis */
export function drawRuler(canvas, axis) {
  const { pen, height } = sheet(canvas);
  const step = TICKS.find((one) => axis.x(one) >= TICK_PIXELS) ?? 300;
  const style = getComputedStyle(canvas);
  pen.font = `${style.fontSize} ${style.fontFamily}`;
  pen.textBaseline = "bottom";
  for (
    let count = Math.floor(axis.from / step);
    count * step <= Math.min(axis.to, axis.seconds);
    count += 1
  ) {
    const x = axis.x(count * step - axis.from);
    pen.fillStyle = paint("line");
    pen.fillRect(x, 0, 1, 6);
    pen.fillStyle = paint("muted");
    pen.fillText(tickWords(count * step, step), x + 4, height);
  }
}

/** @param {number} seconds @param {number} step */
function tickWords(seconds, step) {
  if (step < 1) return decimal(seconds, step < 0.1 ? 2 : 1);
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(Math.round(seconds - 60 * minutes)).padStart(2, "0")}`;
}
