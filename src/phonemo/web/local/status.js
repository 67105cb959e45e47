/** Below the choice of recordings: the model's download, and whether the page works without a network. */

import { byId } from "../dom.js";
import { formatBytes, formatPercent } from "../format.js";
import { t } from "../language.js";
import { errorMessage } from "../problems.js";

/** @typedef {import("./engine.js").EngineStatus} EngineStatus */

/** @param {EventTarget & {status: EngineStatus}} engine */
export function initStatus(engine) {
  const render = () => renderStatus(engine.status);
  engine.addEventListener("change", render);
  byId("language").addEventListener("change", () => queueMicrotask(render));
  render();
}

/** @param {EngineStatus} status */
function renderStatus(status) {
  const { state, loaded, total, offline } = status;
  const values = { percent: formatPercent(total ? loaded / total : 0), size: formatBytes(total) };
  byId("place-state").textContent = [stateText(status, values), offlineText(offline)].filter(Boolean).join(" ");
  byId("place").dataset.state = state;
  byId("place").dataset.offline = offline;
  byId("place-progress").hidden = state !== "loading";
  renderBar(loaded, total);
  byId("place-progress").setAttribute("aria-label", t("place.progress"));
}

/** Without a value once all has arrived, while the engine starts. @param {number} loaded @param {number} total */
function renderBar(loaded, total) {
  const bar = byId("place-progress");
  if (loaded < total) bar.value = loaded / total;
  else bar.removeAttribute("value");
}

/** @param {EngineStatus} status @param {Record<string, string>} values */
function stateText({ state, error, loaded, total }, values) {
  if (state === "failed") return errorMessage(error);
  return t(state === "loading" && loaded >= total ? "place.starting" : `place.${state}`, values);
}

/** @param {string} offline */
const offlineText = (offline) => (offline === "unknown" ? "" : t(`place.offline.${offline}`));
