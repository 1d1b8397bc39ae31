// Texts of the components and of errors, in Spanish and English.

import type { Failure } from '../index.js';

export type Lang = 'es' | 'en';

const TEXTS = {
  es: {
    idle: 'Sin conexión',
    connecting: 'Conectando…',
    live: 'Conectado',
    waiting: 'Reconectando…',
    offline: 'Sin red',
    closed: 'Desconectado',
    retry: 'Reintentar',
    dismiss: 'Cerrar',
    too_old: 'Esperó más de un día: envíalo de nuevo si aún importa',
    logged_out: 'Inicia sesión',
    other_user: 'La sesión es de otra persona',
  },
  en: {
    idle: 'Not connected',
    connecting: 'Connecting…',
    live: 'Connected',
    waiting: 'Reconnecting…',
    offline: 'No network',
    closed: 'Disconnected',
    retry: 'Try again',
    dismiss: 'Dismiss',
    too_old: 'It waited for more than a day: send it again if it still matters',
    logged_out: 'Log in',
    other_user: 'This session is somebody else’s',
  },
};

type Name = keyof (typeof TEXTS)['es'];

export const textOf = (lang: Lang, name: Name): string => TEXTS[lang][name];

/** What to tell people of an error: the server's text, unless this client knows better. */
export const errorText = ({ code, text }: Failure, lang: Lang = 'es'): string => TEXTS[lang][code as Name] ?? text;
