/** What can be said about a file before it is sent: its type, and what is obviously wrong with it. */

import { binary, listed, pixels } from "./text.js";

/** @typedef {import("./limits.js").Limits} Limits */

/** By the ending of the name: most browsers know no type for HEIC, some none for AVIF, BMP and TIFF. */
const TYPES = new Map(Object.entries({
  jpg: "image/jpeg", jpeg: "image/jpeg", jpe: "image/jpeg", jfif: "image/jpeg", mpo: "image/jpeg",
  png: "image/png", apng: "image/png", webp: "image/webp", gif: "image/gif", avif: "image/avif",
  bmp: "image/bmp", dib: "image/bmp", heic: "image/heic", heif: "image/heic", hif: "image/heic",
  tif: "image/tiff", tiff: "image/tiff",
}));

/** Other names that systems give to the same types. */
const ALIASES = new Map(Object.entries({
  "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "image/apng": "image/png",
  "image/avif-sequence": "image/avif", "image/x-bmp": "image/bmp", "image/x-ms-bmp": "image/bmp",
  "image/heif": "image/heic", "image/heic-sequence": "image/heic", "image/heif-sequence": "image/heic",
  "image/tif": "image/tiff", "image/x-tiff": "image/tiff",
}));

const KNOWN = new Set(TYPES.values());

/** What systems say that don't know. */
const UNTOLD = new Set(["", "application/octet-stream", "binary/octet-stream"]);

/**
 * The file's type; empty if neither the browser nor its name tells.
 * @param {{name: string, type: string}} file @returns {string}
 */
export function typeOf({ name, type }) {
  const told = ALIASES.get(type) ?? type;
  if (KNOWN.has(told)) return told;
  const ending = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  return TYPES.get(ending) ?? (UNTOLD.has(told) ? "" : told);
}

/** @param {string} type @param {Limits} limits */
function isAccepted(type, { mediaTypes }) {
  return mediaTypes.length ? mediaTypes.includes(type) : type.startsWith("image/");
}

/** What a file chooser is to offer: types, and endings for browsers that don't know a type. @param {Limits} limits */
export function acceptable(limits) {
  const types = limits.mediaTypes.length ? limits.mediaTypes : ["image/*"];
  const endings = [...TYPES].filter(([, type]) => isAccepted(type, limits)).map(([ending]) => `.${ending}`);
  return [...types, ...endings].join(",");
}

/** What may be chosen, for people; empty if the server doesn't say. @param {Limits} limits */
export function summary({ formats, imageBytes, imagePixels }) {
  const most = [imageBytes && binary(imageBytes, Math.floor), imagePixels && pixels(imagePixels)].filter(Boolean);
  return [listed(formats, "or"), most.length && `up to ${most.join(" and ")} each`].filter(Boolean).join(", ");
}

/**
 * What is obviously wrong is said at once. The server decides about the rest, such as a file of which neither
 * the browser nor its name tells the type: it looks into it.
 * @param {{type: string, size: number}} file with its type as typeOf() has it
 * @param {Limits} limits
 * @returns {import("./client.js").Problem | undefined}
 */
export function objection({ type, size }, limits) {
  if (type && !isAccepted(type, limits)) {
    const choice = limits.formats.length ? `a ${listed(limits.formats, "or")} image` : "an image";
    const detail = `The type of this file is ${type}. Choose ${choice}.`;
    return { title: "Not an image that can be described", detail, reason: "UnsupportedFormat" };
  }
  if (limits.imageBytes && size > limits.imageBytes) {
    const [has, most] = [binary(size, Math.ceil), binary(limits.imageBytes, Math.floor)];
    const detail = `It has ${has}, and the limit is ${most}. Make it smaller and try again.`;
    return { title: "The image is too large", detail, reason: "ImageTooLarge" };
  }
  if (!size) return { title: "The file is empty", detail: "It has no bytes. Choose another.", reason: "EmptyImage" };
  return undefined;
}
