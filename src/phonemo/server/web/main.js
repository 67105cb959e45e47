/** The page: who talks to whom. */

import { session } from "./api.js";
import { byId } from "./dom.js";
import { startDownloads } from "./downloads.js";
import { startDropzone } from "./dropzone.js";
import { chooseLanguage, language, preferredLanguage, t, useLanguage } from "./language.js";
import { Live } from "./live.js";
import { alarm, clearAlarms, renderAlarms, tell } from "./messages.js";
import { Problem } from "./problems.js";
import { Profiles } from "./profiles.js";
import { Recorder } from "./recorder.js";
import { askKey, Recordings } from "./recordings.js";
import { startSamples } from "./samples.js";
import { askModels, askServer, limits, renderServer } from "./server.js";
import { settle, startTheme } from "./theme.js";
import { forgetTones } from "./tones.js";

useLanguage(preferredLanguage());

const recordings = new Recordings(() => profiles.grow());
const profiles = new Profiles(
  () => recordings.jobs,
  () => live.resetProfile(),
);
const recorder = new Recorder(limits, (blob) => recordings.addTake(blob, "recording"), alarm);
const live = new Live(limits, (heard) => recordings.addHeard(heard), lostLive, profiles);

/** @param {any} problem @param {Blob | null} rescued */
function lostLive(problem, rescued) {
  if (rescued) recordings.addTake(rescued, "live");
  alarm(rescued && problem?.key === "live.lost" ? new Problem("live.rescued") : problem);
  if (problem?.key === "live.key" && limits().key_required) askKey();
}

/** @param {string} name */
function switchLanguage(name) {
  chooseLanguage(name);
  for (const part of [recordings, live, profiles]) part.render();
  renderServer();
  renderAlarms();
  settle(byId("theme"));
}

/** @param {Event} event */
function takeKey(event) {
  event.preventDefault();
  session.key = byId("key-input").value.trim();
  clearAlarms();
  tell(t("key.taken"));
  askModels().then(() => profiles.ask());
  recordings.retryRefused();
}

/** @param {string} id @param {() => void} work */
const onClick = (id, work) => byId(id).addEventListener("click", work);

function startMicrophone() {
  onClick("record-button", () => {
    recordings.stepBack();
    recorder.start();
  });
  onClick("live-button", () => {
    recordings.stepBack();
    live.start();
  });
  onClick("stop-button", () => recorder.stop());
  onClick("live-stop", () => live.stop());
  window.addEventListener("pagehide", () => {
    live.abandon();
    recorder.abandon();
  });
}

function startTop() {
  startTheme(byId("theme"), () => {
    forgetTones();
    recordings.redraw();
  });
  byId("language").value = language();
  byId("language").addEventListener("change", () => switchLanguage(byId("language").value));
}

startTop();
startMicrophone();
startDropzone((files) =>
  recordings.add(files.map((file) => ({ name: file.name, blob: file, origin: "file" }))),
);
startSamples((name, blob) => recordings.add([{ name, blob, origin: "sample" }]), alarm);
startDownloads(() => recordings.shown);
onClick("cancel-button", () => recordings.cancel());
onClick("clear-button", () => {
  recordings.clear();
  profiles.forget();
});
byId("key-form").addEventListener("submit", takeKey);
askServer().then(() => profiles.ask());
