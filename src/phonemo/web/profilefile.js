/** Loading and saving profile files. */

import { saveBlob } from "./downloads.js";
import { formatBytes } from "./format.js";
import { LocalizedError } from "./problems.js";

const FILE_NAME = "phonemo-profile.json";

/**
 * A basic check; the server validates the content.
 * @param {File} file
 * @param {number} maxBytes
 */
export async function readProfileFile(file, maxBytes) {
  if (file.size > maxBytes)
    throw new LocalizedError("error.big", { size: formatBytes(file.size), limit: formatBytes(maxBytes) });
  const text = await file.text().catch(() => {
    throw new LocalizedError("error.read");
  });
  const { count, mean } = parseProfile(text);
  if (!Number.isInteger(count) || !Array.isArray(mean)) throw new LocalizedError("error.invalid_profile");
  return { name: file.name, text, count };
}

/** @param {string} text @returns {any} */
function parseProfile(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    throw new LocalizedError("error.invalid_profile");
  }
}

/** @param {string} text @returns {string} the file's name */
export function saveProfile(text) {
  saveBlob(new Blob([`${text.trim()}\n`], { type: "application/json" }), FILE_NAME);
  return FILE_NAME;
}
