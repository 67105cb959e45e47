/** The backend of a page that a server sent: its HTTP and WebSocket API. */

import { createProfile, fetchJson, recognize } from "./api.js";
import { LiveSocket } from "./livesocket.js";
import { supportedLanguage } from "./models.js";

/** The server writes its other formats from the recording. @param {import("./types.js").Job} job @param {"csv" | "textgrid"} format */
async function fileText(job, format) {
  const { profile, channels } = job;
  const choices = { profile, channels, decoding: supportedLanguage(job.decoding) }; // another model may be chosen by now
  return (await recognize(job.converted?.blob ?? job.blob, job.name, format, {}, choices)).text;
}

/** @type {import("./types.js").Backend} */
export const backend = {
  start: async () => {},
  limits: () => fetchJson("v1/limits"),
  models: () => fetchJson("v1/models"),
  version: () => fetchJson("version"),
  profiles: () => fetchJson("v1/profiles"),
  createProfile,
  recognize: (blob, name, handlers, choices) => recognize(blob, name, "verbose_json", handlers, choices),
  fileText,
  openStream: (rate, handlers, options) => new LiveSocket(rate, handlers, options),
};
