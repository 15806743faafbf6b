/** Images in: chosen, dropped anywhere or pasted; and what can be said about a file before sending it. */

import { limits } from "./limits.js";
import { listed, mebibytes } from "./text.js";

/** For files whose type the browser does not know: most know none for HEIC, some none for AVIF, BMP and TIFF. */
const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", jfif: "image/jpeg", png: "image/png", webp: "image/webp",
  gif: "image/gif", avif: "image/avif", bmp: "image/bmp", heic: "image/heic", heif: "image/heic",
  hif: "image/heic", tif: "image/tiff", tiff: "image/tiff",
};

/** Other names that systems give to the same types. */
const ALIASES = {
  "image/x-ms-bmp": "image/bmp", "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/apng": "image/png",
  "image/heif": "image/heic", "image/heic-sequence": "image/heic", "image/heif-sequence": "image/heic",
  "image/tif": "image/tiff",
};

/** The file's type; empty if neither the browser nor its name tells. @param {File} file @returns {string} */
export function typeOf(file) {
  const extension = file.name.split(".").pop()?.toLowerCase() ?? "";
  const type = file.type || TYPES[extension] || "";
  return ALIASES[type] ?? type;
}

/** @param {string} type */
function isAccepted(type) {
  return limits.mediaTypes.length ? limits.mediaTypes.includes(type) : type.startsWith("image/");
}

/** What a file chooser is to offer: types, and endings for browsers that don't know a type. */
export function acceptable() {
  const endings = Object.keys(TYPES).filter((ending) => isAccepted(TYPES[ending]));
  return [...limits.mediaTypes, ...endings.map((ending) => `.${ending}`)].join(",");
}

/**
 * What is obviously wrong is said at once; the server decides about the rest.
 * @param {{type: string, size: number}} file
 * @returns {import("./client.js").Problem | undefined}
 */
export function objection({ type, size }) {
  if (!isAccepted(type)) {
    const choice = limits.formats.length ? `a ${listed(limits.formats, "or")} image` : "an image";
    const detail = `This is ${type || "of an unknown type"}. Choose ${choice}.`;
    return { title: "Not an image that can be described", detail, reason: "UnsupportedFormat" };
  }
  if (size > limits.imageBytes) {
    const most = `${limits.imageBytes.toLocaleString("en")} (${mebibytes(limits.imageBytes)})`;
    const detail = `It has ${size.toLocaleString("en")} bytes, and the limit is ${most}. Make it smaller and try again.`;
    return { title: "The image is too large", detail, reason: "ImageTooLarge" };
  }
  if (!size) return { title: "The file is empty", detail: "It has no bytes. Choose another.", reason: "EmptyImage" };
  return undefined;
}

/**
 * Hand over the files of every way in.
 * @param {(files: File[]) => void} take
 * @param {(words: string) => void} complain about a folder, which holds files but is none
 */
export function listen(take, complain) {
  listenToButton(take);
  listenToDrop(take, complain);
  document.addEventListener("paste", ({ target, clipboardData }) => {
    const pictures = isEditable(target) || !clipboardData ? [] : picturesIn(clipboardData);
    if (pictures.length) take(pictures);
  });
}

/** Whether what is pasted there belongs to the field. @param {EventTarget | null} target */
function isEditable(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

/**
 * The pictures that somebody has copied. Office programs add a picture of the text that was copied, which nobody
 * wants to have described: text wins.
 * @param {DataTransfer} data
 */
function picturesIn(data) {
  const pictures = [...data.files].filter((file) => typeOf(file).startsWith("image/"));
  const names = new Set(pictures.map((file) => file.name));
  const said = `${data.getData("text/plain")}\n${textOf(data.getData("text/html"))}`;
  const lines = said.split("\n").map((line) => line.trim());
  // A file manager adds the names or addresses of the files that were copied.
  return lines.some((line) => line && !names.has(fileName(line))) ? [] : pictures;
}

/** The last part of a path or address. @param {string} path */
function fileName(path) {
  const last = path.split(/[\\/]/).pop() ?? "";
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // a percent sign that encodes nothing
  }
}

/** What a person would read of markup that is never shown. @param {string} html */
function textOf(html) {
  const unread = /<(style|script|title)\b[\s\S]*?<\/\1\s*>|<!--[\s\S]*?-->|<[^>]*>|&nbsp;/gi;
  return html.replace(unread, " ");
}

/** @param {(files: File[]) => void} take */
function listenToButton(take) {
  const input = /** @type {HTMLInputElement} */ (document.getElementById("file"));
  document.getElementById("choose")?.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take([...(input.files ?? [])]);
    input.value = ""; // so that the same file can be chosen again
  });
}

/** @param {(files: File[]) => void} take @param {(words: string) => void} complain */
function listenToDrop(take, complain) {
  const veil = /** @type {HTMLElement} */ (document.getElementById("veil"));
  addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser leaves this page for the dropped file
    veil.hidden = !event.dataTransfer?.types.includes("Files");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil.hidden = true;
    if (!event.dataTransfer) return;
    const items = [...event.dataTransfer.items];
    const files = [...event.dataTransfer.files].filter((_, index) => !isFolder(items, index));
    if (files.length < event.dataTransfer.files.length) complain("A folder can't be sent. Open it, and drop its images.");
    if (files.length) take(files);
  });
}

/** @param {DataTransferItem[]} items @param {number} index of the file among those that are files */
function isFolder(items, index) {
  const entry = items.filter(({ kind }) => kind === "file")[index]?.webkitGetAsEntry?.();
  return !!entry?.isDirectory;
}
