/** Asks for an API key when the server wants one, and shows who is logged in. The server keeps the session in a
 * cookie that scripts can't read, so no key and no session is ever stored here. */

import { sanitize } from "./text.js";

/**
 * The server's answer to GET /whoami.
 * @typedef {{subject: string, owner: string}} Identity
 */

const TIMEOUT_MS = 15_000;
const KEY_WANTED = "Unauthenticated"; // a proxy's 401 has no such reason, and no key of ours would help
const NO_COOKIE = "The key is right, but the browser did not keep the session. Allow cookies for this site.";
const UNREACHABLE = "The server can't be reached. Check your connection, and try again.";

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** The login for which the form is open. @type {Promise<void> | undefined} */
let pending;
let loggedInAt = -Infinity; // in milliseconds, as performance.now()
let keysInUse = false;
let afterLogin = () => {};

/** Return whether the server wants to know who sends a request, as far as it has said so. */
export const usesKeys = () => keysInUse;

/** Return whether a response says that the request has no valid key or session. @param {any} response @param {any} body */
export const wantsKey = (response, body) => response?.status === 401 && body?.reason === KEY_WANTED;

/**
 * Call a function after each login, and another one after the user has logged out.
 * @param {() => void} onLogin @param {() => void} onLogout @param {(words: string) => void} notify called if logging out fails
 */
export function listenToLogin(onLogin, onLogout, notify) {
  afterLogin = onLogin;
  $("logout").addEventListener("click", () => void logOut(onLogout, notify));
}

/**
 * Ask for a key, and return when the user has logged in. Return at once if that was after the refused request was
 * sent, so that it only has to be repeated. Any number of requests wait for the same form.
 * @param {number} sentAt when the request was sent @param {AbortSignal} [signal] @returns {Promise<void>}
 */
export function logIn(sentAt, signal) {
  keysInUse = true;
  if (sentAt < loggedInAt) return Promise.resolve();

  pending ??= ask().finally(() => (pending = undefined));
  return signal ? unlessAborted(pending, signal) : pending;
}

/** @param {Promise<void>} promise @param {AbortSignal} signal @returns {Promise<void>} */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}

/**
 * Send a GET request and return the JSON of the response. If the server wants a key, ask for it, but don't wait.
 * @param {string} path @param {number} timeout in milliseconds @returns {Promise<any>}
 */
export async function getJson(path, timeout) {
  const sentAt = performance.now();
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(timeout) });
  const body = await response.json();
  if (wantsKey(response, body)) void logIn(sentAt);
  if (!response.ok) throw new Error(`GET /${path} was answered with ${response.status}`);
  return body;
}

/** Show who is logged in, and the button to log out, if the server wants to know who sends a request. */
export async function showIdentity() {
  keysInUse = true;
  try {
    show(await getJson("whoami", TIMEOUT_MS));
  } catch {
    show(null); // the form is open, or the server can't be reached
  }
}

/** @param {Identity | null} identity */
function show(identity) {
  const { subject = "", owner = "" } = identity ?? {};
  $("identity-name").textContent = sanitize(subject);
  $("identity-owner").textContent = owner && owner !== subject ? ` (${sanitize(owner)})` : "";
  $("identity").hidden = !identity;
}

/** Show the form until the server accepts a key. @returns {Promise<void>} */
function ask() {
  show(null);
  showError("");
  $("login").hidden = false;
  if (!isTyping()) $("login-key").focus();

  return new Promise((resolve) => {
    let sending = false;
    $("login").onsubmit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      if (sending) return;

      sending = true;
      const error = await send($("login-key").value.trim());
      sending = false;

      showError(error);
      if (error) return $("login-key").select();
      close();
      resolve();
    };
  });
}

/** Return whether the user is typing something that the form should not interrupt. */
function isTyping() {
  const { activeElement: active } = document;
  return active instanceof HTMLInputElement && active.type === "text" && active.value !== "";
}

function close() {
  const focused = $("login").contains(document.activeElement);
  $("login-key").value = "";
  $("login").hidden = true;
  if (focused) $("choose").focus();
  afterLogin();
}

/** @param {string} words */
function showError(words) {
  $("login-error").textContent = words;
  $("login-error").hidden = !words;
}

/** Trade a key for a session. Return what went wrong in words; "" if nothing did. @param {string} key @returns {Promise<string>} */
async function send(key) {
  try {
    const headers = { "Content-Type": "application/json" };
    const refused = await problemOf(await request("session", { method: "POST", headers, body: JSON.stringify({ key }) }));
    if (refused) return refused;

    const response = await request("whoami");
    if (response.status === 401) return NO_COOKIE;
    loggedInAt = performance.now();
    return "";
  } catch {
    return UNREACHABLE;
  }
}

/** @param {string} path @param {RequestInit} [init] */
function request(path, init) {
  return fetch(path, { ...init, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
}

/** Return why the server refused a request; "" if it did not. @param {Response} response @returns {Promise<string>} */
async function problemOf(response) {
  if (response.ok) return "";
  if (response.status === 401) return "The server does not accept this key. It may be mistyped, expired or revoked.";

  const problem = await response.json().catch(() => null); // the body may be, for example, a proxy's HTML page
  return String(problem?.detail ?? `The server answered ${response.status}.`);
}

/** @param {() => void} onLogout @param {(words: string) => void} notify */
async function logOut(onLogout, notify) {
  const failed = await request("session", { method: "DELETE" }).then(problemOf, () => UNREACHABLE);
  if (failed) return notify(`You are still logged in. ${failed}`);

  onLogout();
  void logIn(performance.now());
}
