/** File input: choosing, dropping and pasting files. */

import { byId } from "./dom.js";

/** @param {(files: File[]) => void} onFiles */
export function initDropzone(onFiles) {
  const zone = byId("dropzone");
  const input = byId("file-input");
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    // Choosing the same file again must emit a change event.
    input.value = "";
  });
  // Browsers differ in what Enter does on a file input.
  input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    input.click();
  });
  zone.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (!(/** @type {Element} */ (event.target).closest("label, input"))) input.click();
  });
  // A file dropped outside the zone would replace the page.
  window.addEventListener("dragover", (event) => onDragOver(event, zone));
  window.addEventListener("dragleave", (event) => !event.relatedTarget && zone.classList.remove("dragover"));
  window.addEventListener("drop", (event) => onDrop(event, zone, onFiles));
  window.addEventListener("paste", (event) => onPaste(event, onFiles));
}

/** @param {DragEvent} event @param {HTMLElement} zone */
function onDragOver(event, zone) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  zone.classList.add("dragover");
}

/** @param {DragEvent} event @param {HTMLElement} zone @param {(files: File[]) => void} onFiles */
function onDrop(event, zone, onFiles) {
  zone.classList.remove("dragover");
  const files = [...(event.dataTransfer?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  onFiles(files);
}

/** @param {ClipboardEvent} event @param {(files: File[]) => void} onFiles */
function onPaste(event, onFiles) {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) onFiles(files);
}
