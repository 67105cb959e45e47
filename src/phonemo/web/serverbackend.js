/** The backend of a page that a server sent: its HTTP and WebSocket API. */

import { createProfile, fetchJson, recognize } from "./api.js";
import { LiveSocket } from "./livesocket.js";

/** @type {import("./types.js").Backend} */
export const backend = {
  start: async () => {},
  limits: () => fetchJson("v1/limits"),
  models: () => fetchJson("v1/models"),
  version: () => fetchJson("version"),
  profiles: () => fetchJson("v1/profiles"),
  createProfile,
  recognize,
  openStream: (rate, handlers, options) => new LiveSocket(rate, handlers, options),
};
