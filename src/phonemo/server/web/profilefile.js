/** A profile to a file and back. */

import { save } from "./downloads.js";
import { bytes } from "./format.js";
import { Problem } from "./problems.js";

const NAME = "phonemo-profile.json";

/**
 * The server looks closer; this keeps out what is no profile at all.
 * @param {File} file
 * @param {number} most bytes
 */
export async function loadedProfile(file, most) {
  if (file.size > most) throw new Problem("error.big", { size: bytes(file.size), most: bytes(most) });
  const text = await file.text().catch(() => {
    throw new Problem("error.read");
  });
  const { count, mean } = content(text);
  if (!Number.isInteger(count) || !Array.isArray(mean)) throw new Problem("error.invalid_profile");
  return { name: file.name, text, count };
}

/** @param {string} text @returns {any} */
function content(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    throw new Problem("error.invalid_profile");
  }
}

/** @param {string} text @returns {string} the file's name */
export function saveProfile(text) {
  save(new Blob([`${text.trim()}\n`], { type: "application/json" }), NAME);
  return NAME;
}
