/** Determines the type of a file and checks it for obvious problems before it is uploaded. */

import { binary, joinList, pixels } from "./text.js";

/** @typedef {import("./limits.js").Limits} Limits */

/** Types by extension, because most browsers report no type for HEIC, and some do not for AVIF, BMP and TIFF. */
const TYPES = new Map(Object.entries({
  jpg: "image/jpeg", jpeg: "image/jpeg", jpe: "image/jpeg", jfif: "image/jpeg", mpo: "image/jpeg",
  png: "image/png", apng: "image/png", webp: "image/webp", gif: "image/gif", avif: "image/avif",
  bmp: "image/bmp", dib: "image/bmp", heic: "image/heic", heif: "image/heic", hif: "image/heic",
  tif: "image/tiff", tiff: "image/tiff",
}));

/** Other names for the same types, which some systems use. */
const ALIASES = new Map(Object.entries({
  "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "image/apng": "image/png",
  "image/avif-sequence": "image/avif", "image/x-bmp": "image/bmp", "image/x-ms-bmp": "image/bmp",
  "image/heif": "image/heic", "image/heic-sequence": "image/heic", "image/heif-sequence": "image/heic",
  "image/tif": "image/tiff", "image/x-tiff": "image/tiff",
}));

const KNOWN = new Set(TYPES.values());

/** Types that systems report for files of an unknown type. */
const UNKNOWN_TYPES = new Set(["", "application/octet-stream", "binary/octet-stream"]);

/**
 * Return the file's type, or "" if neither the browser nor the name reveals it.
 * @param {{name: string, type: string}} file @returns {string}
 */
export function typeOf({ name, type }) {
  const known = ALIASES.get(type) ?? type;
  if (KNOWN.has(known)) return known;
  const extension = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  return TYPES.get(extension) ?? (UNKNOWN_TYPES.has(known) ? "" : known);
}

/** @param {string} type @param {Limits} limits */
function isAccepted(type, { mediaTypes }) {
  return mediaTypes.length ? mediaTypes.includes(type) : type.startsWith("image/");
}

/**
 * Return the `accept` attribute of the file input. It contains types, and also extensions for browsers
 * that do not know one of the types.
 * @param {Limits} limits
 */
export function acceptAttribute(limits) {
  const types = limits.mediaTypes.length ? limits.mediaTypes : ["image/*"];
  const extensions = [...TYPES].filter(([, type]) => isAccepted(type, limits)).map(([extension]) => `.${extension}`);
  return [...types, ...extensions].join(",");
}

/** Return the limits in words, or "" if the server did not report them. @param {Limits} limits */
export function limitsText({ formats, imageBytes, imagePixels }) {
  const most = [imageBytes && binary(imageBytes, Math.floor), imagePixels && pixels(imagePixels)].filter(Boolean);
  return [joinList(formats, "or"), most.length && `up to ${most.join(" and ")} each`].filter(Boolean).join(", ");
}

/**
 * Return the file's obvious problem, or undefined if it has none. The server makes all other checks. It
 * reads the content of a file, so it also recognizes files whose type is unknown here.
 * @param {{type: string, size: number}} file with its type from typeOf()
 * @param {Limits} limits
 * @returns {import("./client.js").Problem | undefined}
 */
export function checkFile({ type, size }, limits) {
  if (type && !isAccepted(type, limits)) {
    const choice = limits.formats.length ? `a ${joinList(limits.formats, "or")} image` : "an image";
    const detail = `The type of this file is ${type}. Choose ${choice}.`;
    return { title: "Unsupported file type", detail, reason: "UnsupportedFormat" };
  }

  if (limits.imageBytes && size > limits.imageBytes) {
    const [has, most] = [binary(size, Math.ceil), binary(limits.imageBytes, Math.floor)];
    const detail = `The image has ${has}, but the limit is ${most}. Make it smaller and try again.`;
    return { title: "The image is too large", detail, reason: "ImageTooLarge" };
  }

  if (!size) return { title: "The file is empty", detail: "Choose a different file.", reason: "EmptyImage" };
  return undefined;
}
