// REST calls of the feed, people and notifications.

import { authorized, sendForm } from './api.js';
import { session } from './session.js';

export const posts = () => authorized('GET', '/api/posts/');
export const post = (id) => authorized('GET', `/api/posts/${id}/`);
export const deletePost = (id) => authorized('DELETE', `/api/posts/${id}/`);
/** Sent even while the page is closing; whether it arrived is not known. */
export function deletePostOnLeaving(id) {
  const headers = { Authorization: `Bearer ${session()?.access}` };
  fetch(`/api/posts/${id}/`, { method: 'DELETE', keepalive: true, credentials: 'omit', headers }).catch(() => {});
}
/** The same reaction again takes it back. */
export const react = (id, type) => authorized('POST', `/api/posts/${id}/react/`, { reaction_type: type });

/** A new post with at most one file; `onProgress` gets a share between 0 and 1. */
export const publish = (fields, onProgress, signal) => sendForm('POST', '/api/posts/', fields, onProgress, signal);
/** Adds a file to the user's own post. */
export const addFile = (id, fields, onProgress, signal) => sendForm('PATCH', `/api/posts/${id}/`, fields, onProgress, signal);
export const changePost = (id, fields) => authorized('PATCH', `/api/posts/${id}/`, fields);

export const comments = (postId, page) => authorized('GET', `/api/posts/${postId}/comments/?page=${page}`);
/** Direct replies, oldest first, each with its first replies. */
export const replies = (id, page) => authorized('GET', `/api/posts/comments/${id}/replies/?page=${page}`);
export const editComment = (id, content) => authorized('PATCH', `/api/posts/comments/${id}/`, { content });
/** Counts once; a repetition is answered without a count. */
export const share = (id) => authorized('POST', `/api/posts/${id}/share/`, {});
export const addComment = (postId, content, parent) =>
  authorized('POST', `/api/posts/${postId}/comments/`, parent ? { content, parent } : { content });
export const deleteComment = (id) => authorized('DELETE', `/api/posts/comments/${id}/`);
export const likeComment = (id) => authorized('POST', `/api/posts/comments/${id}/like/`);
export const unlikeComment = (id) => authorized('DELETE', `/api/posts/comments/${id}/like/`);

const name = encodeURIComponent;
export const follow = (username) => authorized('POST', `/api/users/follow/${name(username)}/`);
export const unfollow = (username) => authorized('DELETE', `/api/users/unfollow/${name(username)}/`);
export const requestFriend = (username) => authorized('POST', `/api/users/friend-requests/send/${name(username)}/`);
/** The open requests, to and from the user. */
export const friendRequests = () => authorized('GET', '/api/users/friend-requests/');
export const answerRequest = (id, accept) =>
  authorized('POST', `/api/users/friend-requests/${id}/respond/`, { action: accept ? 'accept' : 'reject' });

export const notifications = () => authorized('GET', '/api/notifications/');
/** The page that an answer names as its `next`. Its host is the server's idea of itself and may be another. */
export const nextPage = (next) => authorized('GET', new URL(next, location).pathname + new URL(next, location).search);
export const unreadCount = async () => (await authorized('GET', '/api/notifications/unread-count/')).unread_count;
export const markRead = (id) => authorized('POST', `/api/notifications/${id}/read/`);
export const markAllRead = () => authorized('POST', '/api/notifications/mark-all-read/');
