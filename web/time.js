// Dates in words, in the browser's zone and the page's language.

import { language, t } from './i18n.js';

const locale = navigator.languages?.find((tag) => tag.startsWith(language)) ?? language;
const clock = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'long' });
const dayAndMonth = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
const withYear = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(locale, { day: '2-digit', month: '2-digit', year: '2-digit' });
const full = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' });

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Whole calendar days between a moment and today; a day with a clock change still counts as one. */
function daysAgo(date) {
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
  return Math.round((midnight(new Date()) - midnight(date)) / DAY_MS);
}

export function dayKey(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** For the lines between two days of a conversation. */
export function dayLabel(ms) {
  const date = new Date(ms);
  const days = daysAgo(date);
  if (days === 0) return t('today');
  if (days === 1) return t('yesterday');
  if (days < 7) return capital(weekday.format(date));
  return capital((date.getFullYear() === new Date().getFullYear() ? dayAndMonth : withYear).format(date));
}

/** For the room list: a time today, a day this week, else a date. */
export function briefLabel(ms) {
  const date = new Date(ms);
  const days = daysAgo(date);
  if (days <= 0) return clock.format(date);
  if (days === 1) return t('yesterday');
  return days < 7 ? capital(weekday.format(date)) : short.format(date);
}

export const timeLabel = (ms) => clock.format(new Date(ms));
export const fullLabel = (ms) => full.format(new Date(ms));

function capital(text) {
  return text.charAt(0).toLocaleUpperCase(locale) + text.slice(1);
}

/** For posts, comments and notifications: how long ago today, else a day or a date. */
export function agoLabel(ms) {
  const passed = Date.now() - ms;
  if (passed < 60_000) return t('now');
  if (passed < HOUR_MS) return t('minutes', { n: Math.floor(passed / 60_000) });
  return passed < DAY_MS ? t('hours', { n: Math.floor(passed / HOUR_MS) }) : briefLabel(ms);
}
