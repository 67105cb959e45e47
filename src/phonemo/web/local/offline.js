/** Visits without a network, and updates: the service worker of the site. */

import { byId } from "../dom.js";
import { endpoint } from "../endpoint.js";
import { engine } from "./engine.js";
import { scriptUrl } from "./trusted.js";

/** Keep the site's files in the browser; where it does not support that, the page works online. */
export async function startOffline() {
  const workers = navigator.serviceWorker;
  if (!workers) return engine.setOffline("unsupported");
  try {
    const registration = await workers.register(scriptUrl(endpoint("sw.js").href), { scope: endpoint("./").href });
    watchForUpdate(registration);
    if (!registration.active) await activation(registration.installing ?? registration.waiting);
    engine.setOffline("ready");
  } catch {
    engine.setOffline("failed");
  }
}

/** An installation fails where a file is missing, or is not that of this version. @param {ServiceWorker | null} worker */
function activation(worker) {
  return new Promise((resolve, reject) => {
    const onChange = () => {
      if (!worker || worker.state === "activated") resolve(undefined);
      else if (worker.state === "redundant") reject(new Error("the service worker could not be installed"));
    };
    worker?.addEventListener("statechange", onChange);
    onChange();
  });
}

/** A new version is used once the visitor agrees, or when no page of the old one is open. @param {ServiceWorkerRegistration} registration */
function watchForUpdate(registration) {
  const offer = () => {
    if (registration.waiting && navigator.serviceWorker.controller) showUpdate(registration.waiting);
  };
  offer();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offer));
}

/** @param {ServiceWorker} waiting */
function showUpdate(waiting) {
  byId("place-update").hidden = false;
  byId("place-update-button").onclick = () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    waiting.postMessage("activate");
  };
}
