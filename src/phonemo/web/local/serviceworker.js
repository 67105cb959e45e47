// The service worker: keeps the files of one version of the site, for visits without a network. It sees addresses,
// never audio. `phonemo site` writes the constant SITE above: {version, files: {path: integrity}}.

const SCOPE = self.registration.scope;
const PREFIX = `phonemo ${SCOPE} `;
const CACHE = PREFIX + SITE.version;
const INTEGRITY = "X-Integrity";

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", ({ data }) => data === "activate" && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request);
  if (path !== null) event.respondWith(answer(event.request, path));
});

async function install() {
  const cache = await caches.open(CACHE);
  const older = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  await Promise.all(Object.entries(SITE.files).map(([path, integrity]) => keep(cache, older, path, integrity)));
}

// A file that did not change is copied from the version before, not fetched again.
async function keep(cache, older, path, integrity) {
  const url = new URL(path, SCOPE).href;
  const kept = await findKept(older, url, integrity);
  await cache.put(url, kept ?? marked(await load(url, integrity), integrity));
}

async function findKept(names, url, integrity) {
  for (const name of names) {
    const response = await (await caches.open(name)).match(url);
    if (response?.headers.get(INTEGRITY) === integrity) return response;
  }
  return null;
}

// What the page has just fetched comes from the browser's cache; the checksum refuses another version.
async function load(url, integrity) {
  const response = await fetch(url, { integrity, cache: "force-cache" }).catch(() => null);
  return response?.ok ? response : fetchAgain(url, integrity);
}

async function fetchAgain(url, integrity) {
  const response = await fetch(url, { integrity, cache: "reload" });
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  return response;
}

// Without the headers of its transfer, such as its encoding.
function marked(response, integrity) {
  const headers = { "Content-Type": response.headers.get("Content-Type") ?? "", [INTEGRITY]: integrity };
  return new Response(response.body, { headers });
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

// The path of one of the site's files; null for any other request.
function pathOf({ method, url }) {
  const address = new URL(url);
  address.search = address.hash = "";
  if (method !== "GET" || !address.href.startsWith(SCOPE)) return null;
  const path = address.href.slice(SCOPE.length) || "index.html";
  return Object.hasOwn(SITE.files, path) ? path : null;
}

async function answer(request, path) {
  const cache = await caches.open(CACHE);
  return (await cache.match(new URL(path, SCOPE).href)) ?? fetch(request);
}
