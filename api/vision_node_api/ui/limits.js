/** Fetches the server's limits for images and requests from GET /limits. No other module does so. */

import { getJson } from "./login.js";

/**
 * The server's limits. A limit is undefined if the server did not report it. Only the server checks it then.
 * @typedef {{imageBytes?: number, imagePixels?: number, mediaTypes: string[], formats: string[],
 *            uploadSeconds?: number, answerSeconds?: number, authentication?: boolean}} Limits
 */

/** @type {Limits} */
const UNKNOWN = { mediaTypes: [], formats: [] };

const TIMEOUT_MS = 5000; // this is short, because chosen images wait for the response
const UPLOAD_SECONDS = 1800; // this and ANSWER_SECONDS apply if the server does not report its limits
const ANSWER_SECONDS = 15;
const MARGIN_SECONDS = 60; // twice as long as the server allows an upload to stall
const MAX_TIMER_MS = 2 ** 31 - 1; // longest delay that a browser's timer supports

/** @type {Promise<Limits> | undefined} */
let pending;

/** Return the limits. They are fetched only once, unless this failed before. @returns {Promise<Limits>} */
export function getLimits() {
  pending ??= fetchLimits().catch(() => {
    pending = undefined;
    return UNKNOWN;
  });
  return pending;
}

/** @returns {Promise<Limits>} */
async function fetchLimits() {
  return read(await getJson("limits", TIMEOUT_MS));
}

/** Read the response. If a server of another version omits a field, the limit is unknown. @returns {Limits} */
function read({ imageBytes, imagePixels, mediaTypes, formats, uploadSeconds, answerSeconds, authentication }) {
  return {
    imageBytes: positive(imageBytes),
    imagePixels: positive(imagePixels),
    mediaTypes: words(mediaTypes),
    formats: words(formats),
    uploadSeconds: positive(uploadSeconds),
    answerSeconds: positive(answerSeconds),
    authentication: authentication === true,
  };
}

/** @param {unknown} value */
const positive = (value) => (typeof value === "number" && value > 0 ? value : undefined);

/** @param {unknown} value */
const words = (value) => (Array.isArray(value) ? value.map(String) : []);

/**
 * Return how long to wait for the response to an upload. This is longer than the server waits for the
 * upload, but not much longer, so that the page soon notices when a small upload is lost. uploadSeconds
 * is the server's limit for an image of the maximum size.
 * @param {Limits} limits @param {number} size of the image in bytes @returns {number} milliseconds
 */
export function uploadMs({ imageBytes = 0, uploadSeconds = UPLOAD_SECONDS, answerSeconds = ANSWER_SECONDS }, size) {
  const share = imageBytes ? Math.min(1, size / imageBytes) : 1;
  return milliseconds(uploadSeconds * share + answerSeconds + MARGIN_SECONDS);
}

/** Return how long to wait for any other response. @param {Limits} limits @returns {number} milliseconds */
export function answerMs({ answerSeconds = ANSWER_SECONDS }) {
  return milliseconds(answerSeconds);
}

/** @param {number} seconds */
const milliseconds = (seconds) => Math.min(Math.ceil(seconds * 1000), MAX_TIMER_MS);
