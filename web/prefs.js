// What this browser remembers of how the page should be: its colours, its language, and whether it may call for attention.

import { read, write } from './storage.js';

const PREFIX = 'pregon.prefs.';
const COLOURS = { light: '#f6f2ea', dark: '#111819' };

const get = (name) => read(PREFIX + name, 'device');
const set = (name, value) => write(PREFIX + name, value, 'device');

/** `light`, `dark`, or null: as the system has it. */
export const theme = () => get('theme');

export function setTheme(value) {
  set('theme', value);
  applyTheme();
}

/** The style sheets' colours follow `color-scheme`. */
export function applyTheme() {
  const value = theme();
  document.documentElement.style.colorScheme = value ?? '';
  for (const meta of document.querySelectorAll('meta[name=theme-color]')) {
    meta.dataset.own ??= meta.content;
    meta.content = COLOURS[value] ?? meta.dataset.own;
  }
}

/** `en`, `es`, or null: as the browser has it. */
export const chosenLanguage = () => get('language');
export const setLanguage = (value) => set('language', value);

/** Whether the page shows messages on the desktop while nobody looks at it. */
export const notifies = () => get('notify') === 'yes' && globalThis.Notification?.permission === 'granted';
export const setNotifies = (isOn) => set('notify', isOn ? 'yes' : null);

/** The person for whom this browser is told while no page is open: it has one subscription, and tabs may be several people. */
export const pushedTo = () => get('push');
export const setPushedTo = (user) => set('push', user);
