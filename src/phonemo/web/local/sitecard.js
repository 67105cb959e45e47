/** site.json: version, models and limits of this site. */

import { endpoint } from "../endpoint.js";
import { LocalizedError } from "../problems.js";

/**
 * @typedef {{path: string, bytes: number, sha256: string}} SiteFile `bytes` and `sha256` of what is sent
 * @typedef {{id: string, licence: string, default?: boolean, profiles: boolean, window_seconds: number,
 *   labels: string[], decodings: string[], files: Record<string, SiteFile>}} SiteModel
 * @typedef {{version: string, build: string, engine: Record<string, SiteFile>, models: SiteModel[],
 *   languages: Record<string, SiteFile>, limits: Record<string, number>}} SiteCard
 */

/** @type {Promise<SiteCard> | null} */
let card = null;

/** @returns {Promise<SiteCard>} */
export function siteCard() {
  card ??= load();
  card.catch(() => (card = null));
  return card;
}

/** The file of a spoken language's phoneme statistics; null for any language. @param {SiteCard} site @param {string | undefined} language */
export const languageFile = ({ languages }, language) => (language ? languages[language] : null);

async function load() {
  const response = await fetch(endpoint("site.json")).catch(() => null);
  if (!response?.ok) throw new LocalizedError("error.offline");
  return response.json().catch(() => {
    throw new LocalizedError("error.answer");
  });
}
