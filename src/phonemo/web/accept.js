/** The files that the chooser offers: what the server reads, and what this browser can convert for it. */

import { byId } from "./dom.js";

/** Other file name suffixes of a format. @type {Record<string, string[]>} */
const SUFFIXES = {
  aiff: ["aif", "aifc"],
  ogg: ["oga"],
  mp4: ["m4v", "mov"],
  au: ["snd"],
};
/** MIME types by which phones know files. @type {Record<string, string[]>} */
const TYPES = {
  wav: ["audio/wav", "audio/x-wav"],
  flac: ["audio/flac"],
  mp3: ["audio/mpeg"],
  ogg: ["audio/ogg"],
  m4a: ["audio/mp4", "audio/x-m4a"],
  mp4: ["video/mp4", "video/quicktime"],
  aac: ["audio/aac"],
  webm: ["audio/webm", "video/webm"],
  "3gp": ["audio/3gpp", "video/3gpp"],
  amr: ["audio/amr"],
};
const CONVERTIBLE = { m4a: "audio/mp4", mp4: "video/mp4", aac: "audio/aac", webm: "video/webm", "3gp": "audio/3gpp", amr: "audio/amr" };

/** Formats that this browser can decode and the server cannot. @param {string[]} formats of the server */
export function convertibleFormats(formats) {
  const player = document.createElement("video");
  const playable = Object.entries(CONVERTIBLE).filter(([, type]) => player.canPlayType(type) !== "");
  return playable.map(([name]) => name).filter((name) => !formats.includes(name));
}

/** @param {string[]} formats of the server, as suffixes */
export function renderAccept(formats) {
  const all = [...formats, ...convertibleFormats(formats)];
  const suffixes = all.flatMap((name) => [name, ...(SUFFIXES[name] ?? [])]).map((name) => `.${name}`);
  byId("file-input").accept = [...suffixes, ...all.flatMap((name) => TYPES[name] ?? [])].join(",");
}
