/** Formats, models and version of the server. */

import { convertibleFormats, renderAccept } from "./accept.js";
import { backend } from "./backend.js";
import { byId, createElement } from "./dom.js";
import { formatBytes, formatLength } from "./format.js";
import { t } from "./language.js";
import { limits, setLimits } from "./limits.js";
import { showError } from "./messages.js";
import { chosenModel, models, setModels } from "./models.js";
import { session } from "./session.js";
import { renderSpeechChoice } from "./speechchoice.js";

/** @type {{limitsLoaded: boolean, version: string}} */
const server = { limitsLoaded: false, version: "" };

export async function loadServerInfo() {
  try {
    setLimits(await backend.limits());
    server.limitsLoaded = true;
    renderAccept(limits().formats);
  } catch (error) {
    showError(error);
  }
  if (limits().key_required) showKeyForm();
  await loadModels();
  renderServer();
}

/** A server with API keys may list its models only with a valid key. */
export async function loadModels() {
  const [found, version] = await Promise.all([
    backend.models().catch(() => null),
    backend.version().catch(() => null),
  ]);
  if (found) setModels(found.data);
  server.version = version?.phonemo ?? server.version;
  renderModels();
  renderServer();
}

export function showKeyForm() {
  byId("key-form").hidden = false;
}

function renderModels() {
  const select = byId("model-select");
  byId("model-field").hidden = models().length < 2;
  const options = models().map(({ id }) => createElement("option", { value: id, textContent: id }));
  select.replaceChildren(...options);
  select.value = chosenModel()?.id ?? "";
  select.onchange = () => {
    session.model = select.value;
    renderServer();
  };
}

/** Render in the current language. */
export function renderServer() {
  renderSpeechChoice();
  const { body_bytes: size, audio_seconds: seconds } = limits();
  const limitValues = { size: formatBytes(size), time: formatLength(seconds) };
  const limitsKey = server.limitsLoaded ? "file.limits" : "file.limits.unknown";
  byId("file-limits").textContent = t(limitsKey, { ...limitValues, formats: formatsText() });
  const model = chosenModel();
  if (!model) return;
  const values = { model: model.id, licence: model.licence ?? "", version: server.version };
  byId("about").textContent = t(model.licence ? "about" : "about.plain", values);
}

/** What the server reads, and what this browser can convert for it. */
function formatsText() {
  const { formats, media } = limits();
  const readable = formats.map((name) => name.toUpperCase()).join(", ");
  if (media) return t("file.formats.media", { names: readable });
  const names = convertibleFormats(formats).map((name) => name.toUpperCase());
  return names.length ? t("file.formats.converted", { names: names.join(", ") }) : t("file.formats");
}
