/** Makes thumbnails of images, because fifty photos in full size would need gigabytes of memory. */

const SHORT_SIDE_PIXELS = 400;

/** @type {Promise<unknown>} */
let last = Promise.resolve();

/**
 * Return a small copy of the image. To save memory, only one image is drawn at a time. The promise is
 * rejected if the browser can't decode the image.
 * @param {Blob} file
 * @returns {Promise<Blob>}
 */
export function shrink(file) {
  const next = last.then(() => draw(file));
  last = next.catch(() => {});
  return next;
}

/** @param {Blob} file @returns {Promise<Blob>} */
async function draw(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SHORT_SIDE_PIXELS / Math.min(bitmap.width, bitmap.height));

  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();

  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/webp", 0.8);
  });
}

/** @param {Blob} blob @returns {Promise<string>} */
export async function toText(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** @param {string} text @returns {Blob} */
export function fromText(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: "image/webp" });
}
