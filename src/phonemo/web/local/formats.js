/** The formats that this browser decodes. */

const TYPES = {
  wav: "audio/wav",
  flac: "audio/flac",
  mp3: "audio/mpeg",
  ogg: 'audio/ogg; codecs="vorbis"',
  opus: 'audio/ogg; codecs="opus"',
  aiff: "audio/aiff",
  m4a: "audio/mp4",
  aac: "audio/aac",
  mp4: "video/mp4",
  webm: "audio/webm",
};

/** @returns {string[]} suffixes */
export function playableFormats() {
  const player = document.createElement("video");
  return Object.entries(TYPES)
    .filter(([, type]) => player.canPlayType(type) !== "")
    .map(([name]) => name);
}
