/** Length of a recording, without decoding it. */

const PATIENCE_MS = 5000;
// Recordings of browsers do not state their length; seeking far beyond the end finds it.
const BEYOND = 1e7;

/** @param {Blob} blob @returns {Promise<number | null>} seconds; null if the browser cannot read them */
export async function mediaSeconds(blob) {
  const url = URL.createObjectURL(blob);
  const audio = new Audio();
  try {
    audio.preload = "metadata";
    audio.src = url;
    if (!(await occurs(audio, "loadedmetadata"))) return null;
    if (!Number.isFinite(audio.duration)) {
      audio.currentTime = BEYOND;
      await occurs(audio, "seeked");
    }
    return Number.isFinite(audio.duration) ? audio.duration : null;
  } finally {
    audio.removeAttribute("src");
    audio.load();
    URL.revokeObjectURL(url);
  }
}

/** Whether an event occurs before an error or the end of patience. @param {HTMLAudioElement} audio @param {string} name */
function occurs(audio, name) {
  return new Promise((resolve) => {
    audio.addEventListener(name, () => resolve(true), { once: true });
    audio.addEventListener("error", () => resolve(false), { once: true });
    setTimeout(() => resolve(false), PATIENCE_MS);
  });
}
