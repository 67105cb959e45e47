/** The current profile: selected, loaded, or created from the session's recordings. In memory only. */

import { backend } from "./backend.js";
import { byId } from "./dom.js";
import { t } from "./language.js";
import { announce, showError } from "./messages.js";
import { selectForProfile } from "./pooled.js";
import { errorMessage } from "./problems.js";
import { readProfileFile, saveProfile } from "./profilefile.js";
import { optionValue, renderProfile } from "./profileview.js";
import { limits } from "./limits.js";
import { session } from "./session.js";

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {import("./types.js").ProfileMark} ProfileMark
 * @typedef {{name: string, text?: string, count: number, hash?: string}} Profile one with a text is in the page's
 *   memory, one without is on the server
 * @typedef {{data: {name: string, count: number, models: string[]}[], models: string[],
 *   limits: {profile_bytes: number, profile_files: number, profile_seconds: number}}} ProfileList
 * @typedef {{available: Profile[], selected: Profile | null, adapts: boolean, sessionProfile: Profile | null,
 *   building: boolean, live: ProfileMark | null | undefined, error: unknown}} State `live` is undefined without a live session
 */

export class Profiles {
  /** @type {ProfileList | null} */
  #profileList = null;
  /** @type {State} */
  #state = {
    available: [],
    selected: null,
    adapts: false,
    sessionProfile: null,
    building: false,
    live: undefined,
    error: null,
  };
  /** @type {AbortController | null} */
  #request = null;
  /** Id of the last job before the newest reset. */
  #lastJobBeforeReset = 0;
  /** Ids of the jobs that the session profile was created from. */
  #sessionJobIds = "";

  /** @param {() => Job[]} jobs of this visit @param {() => void} onReset also resets a live session */
  constructor(jobs, onReset) {
    this.jobs = jobs;
    this.onReset = onReset;
    byId("profile-adapt").addEventListener("change", () => this.#onToggle(byId("profile-adapt").checked));
    byId("profile-select").addEventListener("change", () => this.#onChoose(byId("profile-select").value));
    byId("profile-file").addEventListener("change", () => this.#load());
    byId("profile-save").addEventListener("click", () => this.#save());
    byId("profile-reset").addEventListener("click", () => this.reset());
    byId("model-select").addEventListener("change", () => this.#onModelChange());
  }

  /** Load the list of profiles on the server, and of models that support profiles. */
  async load() {
    this.#profileList = await backend.profiles().catch(() => null);
    this.#onModelChange();
  }

  /** Whether the profile adapts to the session. */
  get adapts() {
    return this.#state.adapts;
  }

  /** Create the session profile from the recordings so far, if adaptation is on. */
  async updateSessionProfile() {
    this.#request?.abort();
    this.#request = null;
    const jobs = this.#state.adapts && this.#profileList ? this.#selectJobs(this.#profileList) : [];
    const ids = jobs.map((job) => job.id).join();
    if (!jobs.length || (this.#state.sessionProfile && ids === this.#sessionJobIds))
      return this.#update({ building: false });
    const request = new AbortController();
    this.#request = request;
    this.#update({ building: true, error: null });
    try {
      const { profile, hash } = await backend.createProfile(
        jobs.map((job) => job.converted?.blob ?? job.blob),
        request.signal,
      );
      if (request.signal.aborted) return;
      this.#sessionJobIds = ids;
      const sessionProfile = { name: "", text: JSON.stringify(profile), count: profile.count, hash };
      this.#update({ sessionProfile, building: false });
      announce(byId("profile-state").textContent);
    } catch (error) {
      if (!request.signal.aborted) this.#update({ building: false, error });
    }
  }

  /** Restart the session profile, and drop a loaded or selected one. */
  reset() {
    this.#request?.abort();
    this.#lastJobBeforeReset = Math.max(0, ...this.jobs().map((job) => job.id));
    const live = this.#state.live === undefined ? undefined : null;
    this.#update({ selected: null, sessionProfile: null, building: false, error: null, live });
    this.onReset();
    announce(t("profile.reset.done"));
  }

  /** Drop the session profile, because its recordings were cleared. */
  dropSessionProfile() {
    this.#request?.abort();
    this.#update({ sessionProfile: null, building: false, error: null });
  }

  /** Disable the controls while a live session runs. */
  onLiveStart() {
    this.#update({ live: null });
  }

  /** @param {ProfileMark | undefined} mark the profile that was applied to the newest window */
  onLiveProfile(mark) {
    const previous = this.#state.sessionProfile;
    const more = previous && mark && mark.hash !== previous.hash ? previous.count : 0;
    if (this.#state.live !== undefined)
      this.#update({ live: mark ? { ...mark, count: mark.count + more } : null });
  }

  onLiveEnd() {
    this.#update({ live: undefined });
  }

  /** Render in the current language. */
  render() {
    byId("profile").hidden = !this.#profileList?.models.includes(byId("model-select").value);
    renderProfile(this.#state);
    if (this.#state.error)
      byId("profile-state").textContent = t("profile.failed", { message: errorMessage(this.#state.error) });
  }

  /** Offer the profiles of the selected model, and apply none. */
  #onModelChange() {
    const model = byId("model-select").value;
    const available = (this.#profileList?.data ?? []).filter((profile) => profile.models.includes(model));
    this.#update({ available, selected: null, sessionProfile: null, error: null });
    this.updateSessionProfile();
  }

  /** @param {boolean} adapts */
  #onToggle(adapts) {
    this.#update({ adapts, selected: null, sessionProfile: null, error: null });
    this.updateSessionProfile();
  }

  /** @param {string} value of an option; empty for none */
  #onChoose(value) {
    const { available, selected } = this.#state;
    const profiles = [...available, ...(selected?.text ? [selected] : [])];
    const match = profiles.find((profile) => optionValue(profile) === value);
    this.#update({ selected: match ?? null, adapts: false, sessionProfile: null, error: null });
    this.updateSessionProfile();
  }

  async #load() {
    const input = byId("profile-file");
    const file = input.files[0];
    if (!file) return;
    try {
      const selected = await readProfileFile(file, this.#profileList?.limits.profile_bytes ?? 0);
      this.#update({ selected, adapts: false, sessionProfile: null, error: null });
      this.updateSessionProfile();
      announce(byId("profile-state").textContent);
    } catch (error) {
      showError(error, file.name);
    }
    // Choosing the same file again must emit a change event.
    input.value = "";
  }

  #save() {
    const profile = this.#state.sessionProfile ?? this.#state.selected;
    if (!profile?.text) return;
    announce(t("download.done", { name: saveProfile(profile.text) }));
  }

  /** @param {ProfileList} profileList @returns {Job[]} */
  #selectJobs(profileList) {
    const requestLimits = { ...profileList.limits, body_bytes: limits().body_bytes };
    return selectForProfile(
      this.jobs().filter((job) => job.id > this.#lastJobBeforeReset),
      requestLimits,
    );
  }

  /** @param {Partial<State>} changes */
  #update(changes) {
    Object.assign(this.#state, changes);
    const { sessionProfile, selected } = this.#state;
    const applied = sessionProfile ?? selected;
    session.profile = applied && (applied.text ? { text: applied.text } : { name: applied.name });
    this.render();
  }
}
