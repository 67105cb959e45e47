/** What the page shows of the profile: what is applied, and what can be done with it. */

import { byId, make } from "./dom.js";
import { t } from "./language.js";

/** @typedef {import("./profiles.js").State} State */

/** @param {State} state */
export function showProfile(state) {
  const live = state.live !== undefined;
  const applied = state.grown ?? state.chosen;
  byId("profile-state").textContent = words(state);
  byId("profile").dataset.applied = String(Boolean(live ? state.live : applied));
  byId("profile-grow").checked = state.grows;
  fill(state);
  for (const id of ["profile-grow", "profile-select", "profile-file"]) byId(id).disabled = live;
  byId("profile-save").disabled = !applied?.text;
  byId("profile-reset").disabled = live ? !state.grows : !(applied || state.grows);
}

/** A file may have the name of one that is offered. @param {import("./profiles.js").Profile} profile */
export const optionOf = (profile) => `${profile.text ? "file" : "offered"}:${profile.name}`;

/** @param {State} state */
function words({ chosen, grows, grown, live, making }) {
  const count = live?.count ?? grown?.count;
  if (grows && count) return t(making ? "profile.grown.making" : "profile.grown", { count });
  if (grows) return t(making ? "profile.making" : "profile.growing");
  if (!chosen) return t("profile.none");
  return t(chosen.text ? "profile.loaded" : "profile.offered", { name: chosen.name, count: chosen.count });
}

/** None, those that the server offers, and a loaded one. @param {State} state */
function fill({ offered, chosen, grows }) {
  const profiles = [...offered, ...(chosen?.text ? [chosen] : [])];
  const options = profiles.map((one) => make("option", { value: optionOf(one), textContent: one.name }));
  const select = byId("profile-select");
  const none = t(grows ? "profile.select.grown" : "profile.select.none");
  select.replaceChildren(make("option", { value: "", textContent: none }), ...options);
  select.value = chosen ? optionOf(chosen) : "";
  byId("profile-choice").hidden = !profiles.length;
}
