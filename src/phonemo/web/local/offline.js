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
    watchForOtherTabs(workers);
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

/** The files change under this page where another tab starts a new version. @param {ServiceWorkerContainer} workers */
function watchForOtherTabs(workers) {
  let isControlled = Boolean(workers.controller);
  workers.addEventListener("controllerchange", () => {
    if (isControlled) engine.outdate();
    isControlled = true;
  });
}

/** Another tab may have started it already. @param {ServiceWorker} waiting */
function showUpdate(waiting) {
  byId("place-update").hidden = false;
  byId("place-update-button").onclick = () => {
    if (waiting.state !== "installed") return location.reload();
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    waiting.postMessage("activate");
  };
}
