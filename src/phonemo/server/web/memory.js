/** What the page remembers between visits; storage may be refused, and then it forgets. */

const PREFIX = "phonemo.";

/** @param {string} name @returns {string | null} */
export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // Refused or full: the choice holds for this visit.
  }
}
