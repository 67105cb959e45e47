/** The profile of this visit: chosen, loaded, or grown over its recordings. In memory only. */

import { ask, makeProfile, session } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./language.js";
import { alarm, tell } from "./messages.js";
import { pooled } from "./pooled.js";
import { explain } from "./problems.js";
import { loadedProfile, saveProfile } from "./profilefile.js";
import { optionOf, showProfile } from "./profileview.js";
import { limits } from "./server.js";

/**
 * @typedef {import("./types.js").Job} Job
 * @typedef {import("./types.js").Mark} Mark
 * @typedef {{name: string, text?: string, count: number, hash?: string}} Profile one with a text is held by the page,
 *   another is named only
 * @typedef {{data: {name: string, count: number, models: string[]}[], models: string[],
 *   limits: {profile_bytes: number, profile_files: number, profile_seconds: number}}} Offer
 * @typedef {{offered: Profile[], chosen: Profile | null, grows: boolean, grown: Profile | null, making: boolean,
 *   live: Mark | null | undefined, problem: unknown}} State `live` is undefined where there is no live session
 */

export class Profiles {
  /** @type {Offer | null} */
  #offer = null;
  /** @type {State} */
  #state = {
    offered: [],
    chosen: null,
    grows: false,
    grown: null,
    making: false,
    live: undefined,
    problem: null,
  };
  /** @type {AbortController | null} */
  #making = null;
  /** The last job before the newest reset. */
  #last = 0;
  /** The jobs that the grown profile is of. */
  #of = "";

  /** @param {() => Job[]} jobs of this visit @param {() => void} onReset also resets a live session */
  constructor(jobs, onReset) {
    this.jobs = jobs;
    this.onReset = onReset;
    byId("profile-grow").addEventListener("change", () => this.#toggle(byId("profile-grow").checked));
    byId("profile-select").addEventListener("change", () => this.#choose(byId("profile-select").value));
    byId("profile-file").addEventListener("change", () => this.#load());
    byId("profile-save").addEventListener("click", () => this.#save());
    byId("profile-reset").addEventListener("click", () => this.reset());
    byId("model-select").addEventListener("change", () => this.#adopt());
  }

  /** Asks which profiles there are, and which models take one. */
  async ask() {
    this.#offer = await ask("v1/profiles").catch(() => null);
    this.#adopt();
  }

  /** Whether live sessions grow one. */
  get grows() {
    return this.#state.grows;
  }

  /** From the recordings so far, where it grows. */
  async grow() {
    this.#making?.abort();
    this.#making = null;
    const jobs = this.#state.grows && this.#offer ? this.#pooled(this.#offer) : [];
    const of = jobs.map((job) => job.id).join();
    if (!jobs.length || (this.#state.grown && of === this.#of)) return this.#set({ making: false });
    const making = new AbortController();
    this.#making = making;
    this.#set({ making: true, problem: null });
    try {
      const { profile, hash } = await makeProfile(
        jobs.map((job) => job.blob),
        making.signal,
      );
      if (making.signal.aborted) return;
      this.#of = of;
      const grown = { name: "", text: JSON.stringify(profile), count: profile.count, hash };
      this.#set({ grown, making: false });
      tell(byId("profile-state").textContent);
    } catch (problem) {
      if (!making.signal.aborted) this.#set({ making: false, problem });
    }
  }

  /** Begins a growing profile anew, and forgets a loaded or chosen one. */
  reset() {
    this.#making?.abort();
    this.#last = Math.max(0, ...this.jobs().map((job) => job.id));
    const live = this.#state.live === undefined ? undefined : null;
    this.#set({ chosen: null, grown: null, making: false, problem: null, live });
    this.onReset();
    tell(t("profile.reset.done"));
  }

  /** The recordings are gone, and what grew from them with them. */
  forget() {
    this.#making?.abort();
    this.#set({ grown: null, making: false, problem: null });
  }

  /** A live session begins, which applies this; its controls wait until it has ended. */
  liveBegan() {
    this.#set({ live: null });
  }

  /** @param {Mark | undefined} mark what the newest window was recognized with */
  liveApplied(mark) {
    const before = this.#state.grown;
    const more = before && mark && mark.hash !== before.hash ? before.count : 0;
    if (this.#state.live !== undefined)
      this.#set({ live: mark ? { ...mark, count: mark.count + more } : null });
  }

  liveEnded() {
    this.#set({ live: undefined });
  }

  /** In the language of the page. */
  render() {
    byId("profile").hidden = !this.#offer?.models.includes(byId("model-select").value);
    showProfile(this.#state);
    if (this.#state.problem)
      byId("profile-state").textContent = t("profile.failed", { message: explain(this.#state.problem) });
  }

  /** What is of another model, or of none, is not applied. */
  #adopt() {
    const model = byId("model-select").value;
    const offered = (this.#offer?.data ?? []).filter((one) => one.models.includes(model));
    this.#set({ offered, chosen: null, grown: null, problem: null });
    this.grow();
  }

  /** @param {boolean} grows */
  #toggle(grows) {
    this.#set({ grows, chosen: null, grown: null, problem: null });
    this.grow();
  }

  /** @param {string} value of an option; empty for none */
  #choose(value) {
    const { offered, chosen } = this.#state;
    const found = [...offered, ...(chosen?.text ? [chosen] : [])].find((one) => optionOf(one) === value);
    this.#set({ chosen: found ?? null, grows: false, grown: null, problem: null });
    this.grow();
  }

  async #load() {
    const input = byId("profile-file");
    const file = input.files[0];
    if (!file) return;
    try {
      const chosen = await loadedProfile(file, this.#offer?.limits.profile_bytes ?? 0);
      this.#set({ chosen, grows: false, grown: null, problem: null });
      this.grow();
      tell(byId("profile-state").textContent);
    } catch (problem) {
      alarm(problem, file.name);
    }
    // The same file again is a change too.
    input.value = "";
  }

  #save() {
    const profile = this.#state.grown ?? this.#state.chosen;
    if (!profile?.text) return;
    tell(t("download.done", { name: saveProfile(profile.text) }));
  }

  /** @param {Offer} offer @returns {Job[]} */
  #pooled(offer) {
    const most = { ...offer.limits, body_bytes: limits().body_bytes };
    return pooled(
      this.jobs().filter((job) => job.id > this.#last),
      most,
    );
  }

  /** @param {Partial<State>} changes */
  #set(changes) {
    Object.assign(this.#state, changes);
    const { grown, chosen } = this.#state;
    const applied = grown ?? chosen;
    session.profile = applied && (applied.text ? { text: applied.text } : { name: applied.name });
    this.render();
  }
}
