/** The profile section: the applied profile and its controls. */

import { byId, createElement } from "./dom.js";
import { t } from "./language.js";

/** @typedef {import("./profiles.js").State} State */

/** @param {State} state */
export function renderProfile(state) {
  const live = state.live !== undefined;
  const applied = state.sessionProfile ?? state.selected;
  byId("profile-state").textContent = statusText(state);
  byId("profile").dataset.applied = String(Boolean(live ? state.live : applied));
  byId("profile-adapt").checked = state.adapts;
  renderOptions(state);
  for (const id of ["profile-adapt", "profile-select", "profile-file"]) byId(id).disabled = live;
  byId("profile-save").disabled = !applied?.text;
  byId("profile-reset").disabled = live ? !state.adapts : !(applied || state.adapts);
}

/**
 * A loaded file may have the same name as a profile on the server.
 * @param {import("./profiles.js").Profile} profile
 */
export const optionValue = (profile) => `${profile.text ? "file" : "offered"}:${profile.name}`;

/** @param {State} state */
function statusText({ selected, adapts, sessionProfile, live, building }) {
  const count = live?.count ?? sessionProfile?.count;
  if (adapts && count) return t(building ? "profile.session.building" : "profile.session", { count });
  if (adapts) return t(building ? "profile.building" : "profile.session.empty");
  if (!selected) return t("profile.none");
  return t(selected.text ? "profile.loaded" : "profile.offered", { name: selected.name, count: selected.count });
}

/** Options: none, the profiles on the server, and a loaded one. @param {State} state */
function renderOptions({ available, selected, adapts }) {
  const profiles = [...available, ...(selected?.text ? [selected] : [])];
  const options = profiles.map((profile) =>
    createElement("option", { value: optionValue(profile), textContent: profile.name }),
  );
  const select = byId("profile-select");
  const none = t(adapts ? "profile.select.session" : "profile.select.none");
  select.replaceChildren(createElement("option", { value: "", textContent: none }), ...options);
  select.value = selected ? optionValue(selected) : "";
  byId("profile-field").hidden = !profiles.length;
}
