/** Entry point: creates the parts of the page and connects them. */

import { backend } from "./backend.js";
import { byId } from "./dom.js";
import { initDownloads } from "./downloads.js";
import { initDropzone } from "./dropzone.js";
import { applyLanguage, language, preferredLanguage, selectLanguage, t } from "./language.js";
import { limits } from "./limits.js";
import { Live } from "./live.js";
import { announce, clearErrors, renderErrors, showError } from "./messages.js";
import { LocalizedError } from "./problems.js";
import { Profiles } from "./profiles.js";
import { Recorder } from "./recorder.js";
import { promptForKey, Recordings } from "./recordings.js";
import { initSamples } from "./samples.js";
import { loadModels, loadServerInfo, renderServer } from "./server.js";
import { session } from "./session.js";
import { initSessionExport } from "./sessionexport.js";
import { initSpeechChoice } from "./speechchoice.js";
import { initTheme, renderTheme } from "./theme.js";
import { clearColorCache } from "./tones.js";

applyLanguage(preferredLanguage());

const recordings = new Recordings(() => profiles.updateSessionProfile());
const profiles = new Profiles(
  () => recordings.jobs,
  () => live.resetProfile(),
);
const recorder = new Recorder(limits, (blob) => recordings.addCapture(blob, "recording"), showError);
const live = new Live(limits, (result) => recordings.addLiveResult(result), onLiveError, profiles);

/** @param {any} error @param {Blob | null} rescued */
function onLiveError(error, rescued) {
  if (rescued) recordings.addCapture(rescued, "live");
  showError(rescued && error?.key === "live.lost" ? new LocalizedError("live.rescued") : error);
  if (error?.key === "live.key" && limits().key_required) promptForKey();
}

/** @param {string} name */
function switchLanguage(name) {
  selectLanguage(name);
  for (const part of [recordings, live, profiles]) part.render();
  renderServer();
  renderErrors();
  renderTheme(byId("theme"));
}

/** @param {Event} event */
function onKeySubmit(event) {
  event.preventDefault();
  session.key = byId("key-input").value.trim();
  clearErrors();
  announce(t("key.saved"));
  loadModels().then(() => profiles.load());
  recordings.retryUnauthorized();
}

/** @param {string} id @param {() => void} work */
const onClick = (id, work) => byId(id).addEventListener("click", work);

function initMicrophone() {
  onClick("record-button", () => {
    recordings.deselect();
    recorder.start();
  });
  onClick("live-button", () => {
    recordings.deselect();
    live.start();
  });
  onClick("stop-button", () => recorder.stop());
  onClick("live-stop", () => live.stop());
  window.addEventListener("pagehide", () => {
    live.discard();
    recorder.discard();
  });
}

function initHeader() {
  initTheme(byId("theme"), () => {
    clearColorCache();
    recordings.redraw();
  });
  byId("language").value = language();
  byId("language").addEventListener("change", () => switchLanguage(byId("language").value));
}

initHeader();
initMicrophone();
initDropzone((files) =>
  recordings.add(files.map((file) => ({ name: file.name, blob: file, origin: "file" }))),
);
initSpeechChoice(() => recordings.recognizeSpeech());
initSamples((name, blob) => recordings.add([{ name, blob, origin: "sample" }]), showError);
initDownloads(() => recordings.shown);
initSessionExport(() => recordings.jobs);
onClick("cancel-button", () => recordings.cancel());
onClick("clear-button", () => {
  recordings.clear();
  profiles.dropSessionProfile();
});
byId("key-form").addEventListener("submit", onKeySubmit);
backend.start().then(loadServerInfo).then(() => profiles.load());
