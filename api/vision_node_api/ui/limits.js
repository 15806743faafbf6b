/** What the server accepts, as GET /limits tells: the one place on the page that knows. */

/**
 * @typedef {{imageBytes: number, mediaTypes: string[], formats: string[], uploadSeconds: number,
 *            answerSeconds: number}} Limits
 */

/** Until the server has answered, and if it does not: anything that looks like a picture; the server decides. */
const UNKNOWN = { imageBytes: Infinity, mediaTypes: [], formats: [], uploadSeconds: 1800, answerSeconds: 15 };

/** @type {Limits} */
export const limits = { ...UNKNOWN };

/** Ask once; the page works without an answer. @returns {Promise<Limits>} */
export async function askLimits() {
  try {
    const response = await fetch("limits", { cache: "no-store" });
    if (response.ok) Object.assign(limits, await response.json());
  } catch {
    // Not reached: what is known of the server stays as it was.
  }
  return limits;
}
