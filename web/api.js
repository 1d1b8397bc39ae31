// REST calls: adds the token, renews it once on 401, turns refusals into ApiError.

import { accessExpiry, beginSession, endSession, readAgain, saveSession, session, stays } from './session.js';

const TIMEOUT_MS = 10_000;
/** Checking a password is slow by design, and others may be checked first. */
const PASSWORD_TIMEOUT_MS = 30_000;
/** Renew the token this long before its end, so that it does not expire during the request. */
const RENEW_BEFORE_S = 30;

/** A refusal or failure; `status` is 0 when no answer came, `fields` maps a form field to its texts. */
export class ApiError extends Error {
  constructor(status, body) {
    super(firstText(body) ?? '');
    this.status = status;
    this.fields = fieldsOf(body);
  }
}

function firstText(body) {
  if (typeof body === 'string') return body;
  if (Array.isArray(body)) return firstText(body[0]);
  if (body === null || typeof body !== 'object') return null;
  return body.error ?? body.detail ?? body.message ?? firstText(Object.values(body)[0]);
}

function fieldsOf(body) {
  if (body === null || typeof body !== 'object') return {};
  return Object.fromEntries(Object.entries(body).filter(([, value]) => Array.isArray(value)));
}

async function call(method, path, { json, token, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = {};
  if (json !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: json === undefined ? undefined : JSON.stringify(json),
      signal: AbortSignal.timeout(timeoutMs),
      credentials: 'omit',
    });
  } catch {
    throw new ApiError(0, null);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, body);
  return body;
}

/** A call as the signed-in person. */
export async function authorized(method, path, json) {
  const token = session()?.access;
  try {
    return await call(method, path, { json, token });
  } catch (error) {
    if (error.status !== 401 || !session()) throw error;
    // Another call may have renewed the token while this one was under way.
    if (session().access === token) await renew();
    return call(method, path, { json, token: session()?.access });
  }
}

let renewal = null;

/** Gets a new access token. If the refresh token is refused, the session ends. */
export function renew() {
  renewal ??= inTurn(async () => {
    // Another tab of the same person was faster.
    if (readAgain()) return;
    const { access, refresh } = await call('POST', '/api/auth/refresh/', { json: { refresh: session()?.refresh } });
    saveSession(refresh ? { access, refresh } : { access });
  })
    .catch((error) => {
      if (error.status === 401 || error.status === 400) {
        endSession();
        dispatchEvent(new Event('pregon:signedout'));
      }
      throw error;
    })
    .finally(() => {
      renewal = null;
    });
  return renewal;
}

/** Tabs that share a session renew it one after the other: a refresh token may be good for one use. */
function inTurn(work) {
  return stays() && navigator.locks ? navigator.locks.request('pregon.renewal', work) : work();
}

/** An access token that is valid for at least the next half minute. */
export async function freshAccess() {
  if (accessExpiry() - Date.now() / 1000 < RENEW_BEFORE_S) await renew();
  return session().access;
}

/** `stay`: signed in until somebody signs out, in other tabs, too. */
export async function login({ stay, ...fields }) {
  const { access, refresh, user } = await call('POST', '/api/auth/login/', { json: fields, timeoutMs: PASSWORD_TIMEOUT_MS });
  beginSession({ access, refresh, user }, stay);
}

export async function register({ stay, ...fields }) {
  const { tokens, user } = await call('POST', '/api/auth/register/', { json: fields, timeoutMs: PASSWORD_TIMEOUT_MS });
  beginSession({ ...tokens, user }, stay);
}

/** Tells the server, but does not wait for the answer: the tab forgets the person in any case. */
export function logout() {
  const { access, refresh } = session();
  call('POST', '/api/auth/logout/', { json: { refresh_token: refresh }, token: access }).catch(() => {});
  endSession();
}

export const rooms = (page = 1) => authorized('GET', `/api/messaging/chats/?page=${page}`);
export const room = (id) => authorized('GET', `/api/messaging/chats/${id}/`);
export const message = (roomId, id) => authorized('GET', `/api/messaging/chats/${roomId}/messages/${id}/`);
export const openChat = async (username) =>
  (await authorized('POST', `/api/users/chat/${encodeURIComponent(username)}/`)).chat;
export const createGroup = (name, ids) =>
  authorized('POST', '/api/messaging/chats/', { name, chat_type: 'group', participant_ids: ids });

/** A room by itself, with a page of its participants. */
export const roomPage = (id, page) => authorized('GET', `/api/messaging/chats/${id}/?participants_page=${page}`);
export const addMember = (id, user) => authorized('POST', `/api/messaging/chats/${id}/add_participant/`, { user_id: user });
export const removeMember = (id, user) => authorized('POST', `/api/messaging/chats/${id}/remove_participant/`, { user_id: user });
export const leaveRoom = (id) => authorized('POST', `/api/messaging/chats/${id}/leave/`, {});
/** Name and description of a group, by its owner or an admin. */
export const changeRoom = (id, fields) => authorized('PATCH', `/api/messaging/chats/${id}/`, fields);
export const changeRoomPicture = (id, file) => sendForm('PATCH', `/api/messaging/chats/${id}/`, { avatar: file }, () => {}, new AbortController().signal);
export const setRole = (id, user, role) => authorized('POST', `/api/messaging/chats/${id}/set_role/`, { user_id: user, role });
/** Messages with all these words, newest first: `{ next, results }`. */
export const searchMessages = (id, text) => authorized('GET', `/api/messaging/chats/${id}/search/?q=${encodeURIComponent(text)}`);
/** The page that an answer names as its `next`. Its host is the server's idea of itself and may be another. */
export const nextPage = (next) => authorized('GET', new URL(next, location).pathname + new URL(next, location).search);
/** The user's own settings of a room. */
export const changeRoomSettings = (id, fields) => authorized('PATCH', `/api/messaging/chats/${id}/settings/`, fields);

/** People whose name matches. The answer may be a page of results or a plain list. */
export async function searchUsers(text) {
  const answer = await authorized('GET', `/api/users/search/?q=${encodeURIComponent(text)}`);
  return Array.isArray(answer) ? answer : (answer.results ?? answer.users ?? []);
}

/** Sends a file; `onProgress` gets a share between 0 and 1. Resolves to the stored message. */
export const upload = (roomId, fields, onProgress, signal) =>
  sendForm('POST', `/api/messaging/chats/${roomId}/send_message/`, fields, onProgress, signal);

let transfers = 0;

/** Whether a form is being sent. */
export const isSending = () => transfers > 0;

/** Sends fields and files as a form; `onProgress` gets a share between 0 and 1. Resolves to the answer. */
export async function sendForm(method, path, fields, onProgress, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined && value !== '') form.append(name, value);
  }
  transfers += 1;
  try {
    return await transfer(method, path, form, await freshAccess(), onProgress, signal);
  } catch (error) {
    if (error.status !== 401) throw error;
    await renew();
    return await transfer(method, path, form, session().access, onProgress, signal);
  } finally {
    transfers -= 1;
  }
}

/** `fetch` reports no upload progress, XMLHttpRequest does. */
function transfer(method, path, form, token, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.responseType = 'json';
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onload = () =>
      request.status < 300 ? resolve(request.response) : reject(new ApiError(request.status, request.response));
    request.onerror = () => reject(new ApiError(0, null));
    request.onabort = request.onerror;
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(form);
  });
}
