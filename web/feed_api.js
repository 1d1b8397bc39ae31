// REST calls of the feed, people and notifications.

import { authorized, sendForm } from './api.js';
import { session } from './session.js';

export const deletePost = (id) => authorized('DELETE', `/api/posts/${id}/`);
/** Sent even while the page is closing; whether it arrived is not known. */
export function deletePostOnLeaving(id) {
  const headers = { Authorization: `Bearer ${session()?.access}` };
  fetch(`/api/posts/${id}/`, { method: 'DELETE', keepalive: true, credentials: 'omit', headers }).catch(() => {});
}

/** A new post with at most one file; `onProgress` gets a share between 0 and 1. */
export const publish = (fields, onProgress, signal) => sendForm('POST', '/api/posts/', fields, onProgress, signal);
/** Adds a file to the user's own post. */
export const addFile = (id, fields, onProgress, signal) => sendForm('PATCH', `/api/posts/${id}/`, fields, onProgress, signal);
/** Counts once; a repetition is answered without a count. */
export const share = (id) => authorized('POST', `/api/posts/${id}/share/`, {});

/** A person with the relation to them, and what they have published. */
export const profile = (username) => authorized('GET', `/api/users/profile/${name(username)}/`);
export const postsOf = (username, page) => authorized('GET', `/api/users/${name(username)}/posts/?page=${page}`);
export const react = (id, type) => authorized('POST', `/api/posts/${id}/react/`, { reaction_type: type });
export const changePost = (id, fields) => authorized('PATCH', `/api/posts/${id}/`, fields);
export const followers = (username) => authorized('GET', `/api/users/followers/${name(username)}/`);
export const following = (username) => authorized('GET', `/api/users/following/${name(username)}/`);
export const block = (username) => authorized('POST', `/api/users/block/${name(username)}/`);
export const unblock = (username) => authorized('DELETE', `/api/users/block/${name(username)}/`);
export const blocked = () => authorized('GET', '/api/users/blocked/');
export const suggested = () => authorized('GET', '/api/users/suggested/');
/** Fields of the own profile; a picture as `avatar`. */
export const changeProfile = (fields) => authorized('PATCH', '/api/auth/profile/', fields);
export const changeAvatar = (file, onProgress, signal) => sendForm('POST', '/api/auth/upload-avatar/', { avatar: file }, onProgress, signal);
export const changePassword = (old, fresh) =>
  authorized('POST', '/api/auth/change-password/', { current_password: old, new_password: fresh, new_password_confirm: fresh });

const name = encodeURIComponent;
export const follow = (username) => authorized('POST', `/api/users/follow/${name(username)}/`);
export const unfollow = (username) => authorized('DELETE', `/api/users/unfollow/${name(username)}/`);
export const requestFriend = (username) => authorized('POST', `/api/users/friend-requests/send/${name(username)}/`);
/** The open requests, to and from the user. */
export const friendRequests = () => authorized('GET', '/api/users/friend-requests/');
export const answerRequest = (id, accept) =>
  authorized('POST', `/api/users/friend-requests/${id}/respond/`, { action: accept ? 'accept' : 'reject' });

