/** The ways in for images: chosen, dropped anywhere or pasted. */

import { copiedPictures } from "./clipboard.js";
import { tame } from "./text.js";

/**
 * Hand over the files of every way in.
 * @param {(files: File[]) => void} take
 * @param {(words: string) => void} complain about folders, which hold files and are none
 */
export function listen(take, complain) {
  listenToButton(take);
  listenToDrop(take, complain);
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
    const pictures = copiedPictures(event.clipboardData);
    if (pictures.length) take(pictures);
  });
}

/** Whether what is pasted or dropped there belongs to the field. @param {EventTarget | null} target */
function isTextField(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

/** @param {(files: File[]) => void} take @param {(words: string) => void} complain */
function listenToDrop(take, complain) {
  const veil = /** @type {HTMLElement} */ (document.getElementById("veil"));
  addEventListener("dragover", (event) => {
    const files = holdsFiles(event);
    veil.hidden = !files;
    if (!files && isTextField(event.target)) return;
    event.preventDefault(); // else the browser leaves this page for what is dropped
    if (event.dataTransfer) event.dataTransfer.dropEffect = files ? "copy" : "none";
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!holdsFiles(event) && isTextField(event.target)) return;
    event.preventDefault();
    const { files, folders } = dropped(event.dataTransfer);
    if (files.length) take(files);
    if (folders.length) complain(aboutFolders(folders));
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
    const file = item.getAsFile(); // none of text
    if (entry?.isDirectory) folders.push(entry.name);
    else if (file) files.push(file);
  }
  return { files, folders };
}

/** @param {string[]} folders */
function aboutFolders([first, ...others]) {
  if (others.length) return `${others.length + 1} of these are folders. Open them, and drop the images that they hold.`;
  return `“${tame(first)}” is a folder. Open it, and drop the images that it holds.`;
}
