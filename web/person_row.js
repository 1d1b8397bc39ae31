// A person in a list: who they are, and the relation to them.

import * as feedApi from './feed_api.js';
import { h, fill, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { avatar } from './media.js';
import { session } from './session.js';

/** The way to somebody's profile. */
export const personAddress = (username) => `#/person/${username}`;

/** `{ element, draw }`; `onFollowed()` is called after the person was followed or unfollowed. */
export function personRow(user, { onFollowed = () => {} } = {}) {
  const element = h('li', { class: 'found-person', data: { testid: 'person', username: user.username } });
  const own = user.id === session().user.id;
  const draw = () => fill(element, avatar(user),
    h('div', { class: 'found-who' },
      h('a', { class: 'person-link', href: personAddress(user.username), dir: 'auto' }, user.display_name), h('span', { class: 'hint' }, `@${user.username}`), own ? null : friendship(user, draw)),
    own ? null : followButton(user, draw, onFollowed));
  draw();
  return { element, draw };
}

export function followButton(user, draw, onFollowed) {
  const label = t(user.is_following ? 'unfollowName' : 'followName', { name: user.display_name });
  return h('button', {
    type: 'button', class: user.is_following ? 'quiet' : 'primary', 'aria-pressed': String(user.is_following), 'aria-label': label, title: label,
    data: { testid: 'follow' }, onclick: (event) => follow(user, draw, event.currentTarget, onFollowed),
  }, t(user.is_following ? 'following' : 'follow'));
}

async function follow(user, draw, button, onFollowed) {
  button.disabled = true;
  try {
    await (user.is_following ? feedApi.unfollow(user.username) : feedApi.follow(user.username));
    user.is_following = !user.is_following;
    if (user.followers_count !== undefined) user.followers_count += user.is_following ? 1 : -1;
    onFollowed();
  } catch (error) {
    toast(errorText(error));
  }
  const row = button.parentElement;
  const focused = document.activeElement === button || document.activeElement === document.body;
  draw();
  if (focused) row?.querySelector('[data-testid=follow]')?.focus();
}

/** Friends, an open request, or the button to send one. */
export function friendship(user, draw) {
  const requests = { sent: 'requestSent', received: 'requestReceived' };
  const state = user.is_friend ? 'friends' : requests[user.friend_request_status];
  if (state) return h('span', { class: 'hint' }, t(state));
  const button = h('button', { type: 'button', class: 'link', 'aria-label': t('addFriendName', { name: user.display_name }), data: { testid: 'add-friend' } }, t('addFriend'));
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      await feedApi.requestFriend(user.username);
      user.friend_request_status = 'sent';
    } catch (error) {
      toast(errorText(error));
    }
    draw();
  });
  return button;
}
