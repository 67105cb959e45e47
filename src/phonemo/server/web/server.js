/** What the server says of itself: its limits, models and version. */

import { ask, session } from "./api.js";
import { byId, make } from "./dom.js";
import { bytes, span } from "./format.js";
import { t } from "./language.js";
import { alarm } from "./messages.js";

/** @type {import("./types.js").Limits} until the server says its own */
const ASSUMED = { body_bytes: 25 << 20, audio_seconds: 600, stream_seconds: 3600, key_required: false };

/** @typedef {{id: string, licence?: string, default?: boolean}} Model */
/** @type {{limits: import("./types.js").Limits, known: boolean, models: Model[], version: string}} */
const told = { limits: ASSUMED, known: false, models: [], version: "" };

export const limits = () => told.limits;

export async function askServer() {
  try {
    told.limits = { ...ASSUMED, ...(await ask("v1/limits")) };
    told.known = true;
  } catch (problem) {
    alarm(problem);
  }
  if (told.limits.key_required) showKey();
  await askModels();
  renderServer();
}

/** A server with a key may keep its models to itself until it has it. */
export async function askModels() {
  const [models, version] = await Promise.all([
    ask("v1/models").catch(() => null),
    ask("version").catch(() => null),
  ]);
  told.models = models?.data ?? told.models;
  told.version = version?.phonemo ?? told.version;
  fillModels();
  renderServer();
}

export function showKey() {
  byId("key-form").hidden = false;
}

function fillModels() {
  const select = byId("model-select");
  byId("model-choice").hidden = told.models.length < 2;
  select.replaceChildren(...told.models.map(({ id }) => make("option", { value: id, textContent: id })));
  const usual = told.models.find((one) => one.default) ?? told.models[0];
  if (usual) select.value = session.model || usual.id;
  select.onchange = () => {
    session.model = select.value;
    renderServer();
  };
}

/** In the language of the page. */
export function renderServer() {
  const { body_bytes: size, audio_seconds: seconds } = told.limits;
  const words = { size: bytes(size), time: span(seconds) };
  byId("file-limits").textContent = told.known ? t("file.limits", words) : t("file.limits.unknown");
  const model = told.models.find((one) => one.id === byId("model-select").value);
  if (!model) return;
  const values = { model: model.id, licence: model.licence ?? "", version: told.version };
  byId("about").textContent = t(model.licence ? "about" : "about.plain", values);
}
