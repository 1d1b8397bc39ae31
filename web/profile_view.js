// Somebody's profile: picture, words about themselves, followers, posts, and what can be done with them.

import * as api from './api.js';
import * as feedApi from './feed_api.js';
import { confirm } from './confirm.js';
import { h, fill, openDialog, reconcile, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar, mediaAddress } from './media.js';
import { openPhoto } from './message_menu.js';
import { followButton, friendship, personRow } from './person_row.js';
import { postCard, postSignature } from './post_card.js';
import { editProfile } from './profile_edit.js';
import { session } from './session.js';

export class ProfileView {
  /** `onChanged()` is called after the own profile was changed. */
  constructor(username, { onChanged }) {
    this.username = username;
    this.onChanged = onChanged;
    this.posts = [];
    this.nextPage = 1;
    this.hasMore = false;
    this.head = h('div', { class: 'card profile', data: { testid: 'profile', username } });
    this.note = h('p', { class: 'feed-note', role: 'status' }, t('feedLoading'));
    this.rows = h('div', { class: 'posts', id: 'profile-posts' });
    this.more = h('button', { type: 'button', class: 'plain more', id: 'more-profile-posts', hidden: true, onclick: () => this.loadMore() }, t('morePosts'));
    this.element = h('section', { class: 'feed', id: 'profile-view' }, h('div', { class: 'feed-scroll' }, h('div', { class: 'feed-columns single' }, h('div', { class: 'feed-main' },
      this.head, this.note, this.rows, this.more))));
    this.head.hidden = true;
    this.load();
  }

  close() {
    this.closed = true;
  }

  async load() {
    try {
      this.user = await feedApi.profile(this.username);
      if (this.closed) return;
      this.drawHead();
      await this.loadMore();
      if (this.posts.length === 0) this.note.textContent = t('noPosts');
    } catch (error) {
      this.note.textContent = errorText(error);
    }
  }

  async loadMore() {
    this.more.disabled = true;
    try {
      const { results, next } = await feedApi.postsOf(this.username, this.nextPage);
      if (this.closed) return;
      this.nextPage += 1;
      this.hasMore = next !== null;
      const known = new Set(this.posts.map((post) => post.id));
      this.posts.push(...results.filter((post) => !known.has(post.id)));
      this.note.textContent = '';
    } catch (error) {
      toast(errorText(error));
    }
    this.more.disabled = false;
    this.draw();
  }

  get isOwn() {
    return this.user.id === session().user.id;
  }

  drawHead() {
    const { user } = this;
    const picture = mediaAddress(user.avatar_url);
    const face = avatar(user, 'large');
    const isPhoto = face.querySelector('img') !== null;
    const about = [user.position, user.team].filter(Boolean).join(' · ');
    this.head.hidden = false;
    fill(this.head,
      isPhoto ? h('button', { type: 'button', class: 'face-button', 'aria-label': t('openImage'), onclick: () => openPhoto(picture, user.display_name) }, face) : face,
      h('div', { class: 'profile-about' },
        h('h1', { dir: 'auto', data: { testid: 'profile-name' } }, user.display_name, user.is_private ? h('span', { class: 'post-private' }, icon('lock')) : null),
        h('p', { class: 'hint' }, `@${user.username}`),
        about ? h('p', { class: 'hint', dir: 'auto' }, about) : null,
        user.bio ? h('p', { class: 'bio', dir: 'auto', data: { testid: 'bio' } }, user.bio) : null,
        h('p', { class: 'counts' },
          h('span', null, t('postsCount', { n: user.posts_count })),
          this.countButton('followers', user.followers_count, feedApi.followers),
          this.countButton('followings', user.following_count, feedApi.following)),
        h('div', { class: 'profile-actions' }, this.isOwn ? this.ownActions() : this.actions())));
  }

  countButton(kind, count, list) {
    return h('button', { type: 'button', class: 'link', data: { testid: kind, count: String(count) }, onclick: () => this.showPeople(t(`${kind}Title`), list) }, t(`${kind}Count`, { n: count }));
  }

  async showPeople(title, list) {
    try {
      const people = await list(this.username);
      const dialog = openDialog(title, h('h2', null, title),
        people.length === 0 ? h('p', { class: 'hint' }, t('nobodyYet')) : h('ul', { class: 'found-people' }, people.map((user) => personRow(user).element)),
        h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('close'))));
      dialog.addEventListener('click', (event) => event.target.closest('a') && dialog.close());
    } catch (error) {
      toast(errorText(error));
    }
  }

  ownActions() {
    const edit = () => editProfile(this.user, (user) => {
      Object.assign(this.user, user);
      this.drawHead();
      this.onChanged();
    });
    return [
      h('button', { type: 'button', class: 'primary', id: 'edit-profile', onclick: edit }, t('editProfile')),
      h('a', { class: 'plain', href: '#/settings', id: 'to-settings' }, icon('gear'), t('settings')),
    ];
  }

  actions() {
    const draw = () => this.drawHead();
    const write = async (event) => {
      event.currentTarget.disabled = true;
      try {
        const { id } = await api.openChat(this.username);
        location.hash = `#/chat/${id}`;
      } catch (error) {
        toast(errorText(error));
        draw();
      }
    };
    if (this.user.is_blocked) {
      return [h('p', { class: 'hint' }, t('blockedNote')), h('button', { type: 'button', class: 'quiet', data: { testid: 'unblock' }, onclick: () => this.unblock() }, t('unblock'))];
    }
    return [
      followButton(this.user, draw, () => {}),
      h('button', { type: 'button', class: 'quiet', data: { testid: 'write-to' }, onclick: write }, t('writeTo')),
      friendship(this.user, draw),
      h('button', { type: 'button', class: 'link danger', data: { testid: 'block' }, onclick: () => this.block() }, icon('block'), t('block')),
    ];
  }

  block() {
    confirm(t('blockAsk', { name: this.user.display_name }), t('block'), async () => {
      await feedApi.block(this.username);
      Object.assign(this.user, { is_blocked: true, is_following: false, is_friend: false, friend_request_status: null });
      this.drawHead();
    });
  }

  async unblock() {
    try {
      await feedApi.unblock(this.username);
      this.user.is_blocked = false;
      this.drawHead();
    } catch (error) {
      toast(errorText(error));
    }
  }

  draw() {
    this.more.hidden = !this.hasMore;
    reconcile(this.rows, this.posts.map((post) => ({ key: post.id, signature: postSignature(post), render: () => this.card(post) })));
  }

  card(post) {
    const change = (fields) => {
      Object.assign(post, fields);
      this.draw();
    };
    return postCard(post, {
      react: async (type) => {
        const { counts, reaction } = await feedApi.react(post.id, type);
        change({ ...counts, user_reaction: reaction ? type : null });
      },
      edit: async (fields) => change(await feedApi.changePost(post.id, fields)),
      remove: async () => {
        await feedApi.deletePost(post.id);
        this.posts = this.posts.filter((one) => one !== post);
        this.draw();
      },
    });
  }
}
