/** Files that are chosen, dropped or pasted. */

import { byId } from "./dom.js";

/** @param {(files: File[]) => void} onFiles */
export function startDropzone(onFiles) {
  const zone = byId("dropzone");
  const input = byId("file-input");
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    // The same file again is a change too.
    input.value = "";
  });
  // Browsers do not agree on what Enter does to a file input.
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    input.click();
  });
  zone.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (!(/** @type {Element} */ (event.target).closest("label, input"))) input.click();
  });
  // Dropped beside the zone, a file would replace the page.
  window.addEventListener("dragover", (event) => over(event, zone));
  window.addEventListener("dragleave", (event) => !event.relatedTarget && zone.classList.remove("over"));
  window.addEventListener("drop", (event) => drop(event, zone, onFiles));
  window.addEventListener("paste", (event) => pasted(event, onFiles));
}

/** @param {DragEvent} event @param {HTMLElement} zone */
function over(event, zone) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  zone.classList.add("over");
}

/** @param {DragEvent} event @param {HTMLElement} zone @param {(files: File[]) => void} onFiles */
function drop(event, zone, onFiles) {
  zone.classList.remove("over");
  const files = [...(event.dataTransfer?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  onFiles(files);
}

/** @param {ClipboardEvent} event @param {(files: File[]) => void} onFiles */
function pasted(event, onFiles) {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) onFiles(files);
}
