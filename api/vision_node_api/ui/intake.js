/** Receives images that the user chooses with the button, drops anywhere on the page, or pastes. */

import { pastedImages } from "./clipboard.js";
import { sanitize } from "./text.js";

/**
 * Call `take` with the files that the user chooses, drops or pastes.
 * @param {(files: File[]) => void} take
 * @param {(words: string) => void} notify called for folders, which can't be uploaded
 */
export function listen(take, notify) {
  listenToButton(take);
  listenToDrop(take, notify);
  listenToPaste(take);
}

/** @param {(files: File[]) => void} take */
function listenToButton(take) {
  const input = /** @type {HTMLInputElement} */ (document.getElementById("file"));
  document.getElementById("choose")?.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // so that the same file can be chosen again
    if (files.length) take(files);
  });
}

/** @param {(files: File[]) => void} take */
function listenToPaste(take) {
  document.addEventListener("paste", (event) => {
    if (event.defaultPrevented || !event.clipboardData || isTextField(event.target)) return;
    const pictures = pastedImages(event.clipboardData);
    if (pictures.length) take(pictures);
  });
}

/** Return whether the target is a form field, which handles pastes and drops itself. @param {EventTarget | null} target */
function isTextField(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

/** @param {(files: File[]) => void} take @param {(words: string) => void} notify */
function listenToDrop(take, notify) {
  const overlay = /** @type {HTMLElement} */ (document.getElementById("overlay"));

  addEventListener("dragover", (event) => {
    const files = holdsFiles(event);
    overlay.hidden = !files;
    if (!files && isTextField(event.target)) return;

    event.preventDefault(); // otherwise, the browser would leave this page and open the dropped file
    if (event.dataTransfer) event.dataTransfer.dropEffect = files ? "copy" : "none";
  });

  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) overlay.hidden = true;
  });

  addEventListener("drop", (event) => {
    overlay.hidden = true;
    if (!holdsFiles(event) && isTextField(event.target)) return;

    event.preventDefault();
    const { files, folders } = dropped(event.dataTransfer);
    if (files.length) take(files);
    if (folders.length) notify(folderMessage(folders));
  });
}

/** @param {DragEvent} event */
const holdsFiles = ({ dataTransfer }) => !!dataTransfer?.types.includes("Files");

/** @param {DataTransfer | null} transfer @returns {{files: File[], folders: string[]}} */
function dropped(transfer) {
  const files = [];
  const folders = [];
  for (const item of transfer?.items ?? []) {
    const entry = item.kind === "file" ? item.webkitGetAsEntry?.() : null;
    const file = item.getAsFile(); // this is null if the item is text
    if (entry?.isDirectory) folders.push(entry.name);
    else if (file) files.push(file);
  }
  return { files, folders };
}

/** @param {string[]} folders */
function folderMessage([first, ...others]) {
  if (others.length) return `${others.length + 1} of these are folders. Open them and drop the images inside.`;
  return `“${sanitize(first)}” is a folder. Open it and drop the images inside.`;
}
