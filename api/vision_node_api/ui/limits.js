/** What the server accepts and how long it may take, as GET /limits says: the one place on the page that knows. */

/**
 * What the server has not said is missing: it then decides alone.
 * @typedef {{imageBytes?: number, imagePixels?: number, mediaTypes: string[], formats: string[],
 *            uploadSeconds?: number, answerSeconds?: number}} Limits
 */

/** @type {Limits} */
const UNKNOWN = { mediaTypes: [], formats: [] };

const ASKING_MS = 5000; // chosen images wait for this answer
const UPLOAD_SECONDS = 1800; // for a server that doesn't say
const ANSWER_SECONDS = 15;
const MARGIN_SECONDS = 60; // twice as long as the server lets an upload stall
const LONGEST_MS = 2 ** 31 - 1; // what a browser's timer can count

/** @type {Promise<Limits> | undefined} */
let asked;

/** Ask once; again the next time if the server has not answered. @returns {Promise<Limits>} */
export function knownLimits() {
  asked ??= ask().catch(() => {
    asked = undefined;
    return UNKNOWN;
  });
  return asked;
}

/** @returns {Promise<Limits>} */
async function ask() {
  const response = await fetch("limits", { cache: "no-store", signal: AbortSignal.timeout(ASKING_MS) });
  if (!response.ok) throw new Error(`GET /limits was answered with ${response.status}`);
  return read(await response.json());
}

/** What a server of another version leaves out is unknown, not zero. @returns {Limits} */
function read({ imageBytes, imagePixels, mediaTypes, formats, uploadSeconds, answerSeconds }) {
  return {
    imageBytes: positive(imageBytes),
    imagePixels: positive(imagePixels),
    mediaTypes: words(mediaTypes),
    formats: words(formats),
    uploadSeconds: positive(uploadSeconds),
    answerSeconds: positive(answerSeconds),
  };
}

/** @param {unknown} value */
const positive = (value) => (typeof value === "number" && value > 0 ? value : undefined);

/** @param {unknown} value */
const words = (value) => (Array.isArray(value) ? value.map(String) : []);

/**
 * How long to wait for the answer to an upload, so that none is given up here which the server still takes, and
 * a small one that is lost is noticed soon: uploadSeconds is for an image of the most bytes.
 * @param {Limits} limits @param {number} size of the image in bytes @returns {number} milliseconds
 */
export function uploadMs({ imageBytes = 0, uploadSeconds = UPLOAD_SECONDS, answerSeconds = ANSWER_SECONDS }, size) {
  const share = imageBytes ? Math.min(1, size / imageBytes) : 1;
  return milliseconds(uploadSeconds * share + answerSeconds + MARGIN_SECONDS);
}

/** How long to wait for any other answer. @param {Limits} limits @returns {number} milliseconds */
export function answerMs({ answerSeconds = ANSWER_SECONDS }) {
  return milliseconds(answerSeconds);
}

/** @param {number} seconds */
const milliseconds = (seconds) => Math.min(Math.ceil(seconds * 1000), LONGEST_MS);
