/** Images in: chosen, dropped anywhere or pasted; and what can be said about a file before sending it. */

import { bytes } from "./text.js";

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", jfif: "image/jpeg", png: "image/png", webp: "image/webp",
  gif: "image/gif", avif: "image/avif", bmp: "image/bmp",
};
const ACCEPTED = new Set([...Object.values(TYPES), "image/x-ms-bmp"]);
const MAX_BYTES = 20 * 1024 * 1024;

const FORMATS = "a JPEG, PNG, WebP, GIF, AVIF or BMP image";

/** The file's type; some systems know none for AVIF and BMP. @param {File} file @returns {string} */
export function typeOf(file) {
  const extension = file.name.split(".").pop()?.toLowerCase() ?? "";
  return file.type || TYPES[extension] || "";
}

/**
 * What is obviously wrong is said at once; the server decides about the rest.
 * @param {{type: string, size: number}} file
 * @returns {import("./client.js").Problem | undefined}
 */
export function objection({ type, size }) {
  if (!ACCEPTED.has(type)) {
    const detail = `This is ${type || "of an unknown type"}. Choose ${FORMATS}.`;
    return { title: "Not an image that can be described", detail, reason: "UnsupportedFormat" };
  }
  if (size > MAX_BYTES) {
    const detail = `It has ${bytes(size)}, and the limit is 20 MB. Make it smaller and try again.`;
    return { title: "The image is too large", detail, reason: "ImageTooLarge" };
  }
  if (!size) return { title: "The file is empty", detail: "It has no bytes. Choose another.", reason: "EmptyImage" };
  return undefined;
}

/**
 * Hand over the files of every way in.
 * @param {(files: File[]) => void} take
 * @param {(words: string) => void} complain about what holds no file
 */
export function listen(take, complain) {
  listenToButton(take);
  listenToDrop(take, complain);
  document.addEventListener("paste", ({ clipboardData }) => {
    const files = [...(clipboardData?.files ?? [])];
    if (files.length) take(files);
    else complain("The clipboard holds no image. Copy a picture itself, not its address, and paste again.");
  });
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
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) take(files);
    else complain("That was no file. Save the picture first, or copy and paste it.");
  });
}
