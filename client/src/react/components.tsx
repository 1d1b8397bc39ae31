'use client';
// How the connection is, and what passes, without styles: `data-pregon` and `data-state` are there to be styled.

import { type HTMLAttributes, useEffect } from 'react';
import type { Client, Toast } from '../index.js';
import { useClient, useConnection, useLang, useNotifications, useStore } from './hooks.js';
import { errorText, type Lang, textOf } from './texts.js';

interface Props {
  client?: Client;
  lang?: Lang;
}

/** Says how the connection is; with a button where it can be tried again. */
export function ConnectionIndicator({ client, lang, ...props }: Props & HTMLAttributes<HTMLElement>) {
  const { state, error, retry } = useConnection(client && { client });
  const language = useLang(lang);
  return (
    <div role="status" data-pregon="connection" data-state={state} {...props}>
      <span>{error ? errorText(error, language) : textOf(language, state)}</span>
      {(state === 'waiting' || state === 'offline' || state === 'closed') && (
        <button type="button" onClick={retry}>
          {textOf(language, 'retry')}
        </button>
      )}
    </div>
  );
}

const NONE = { list: [] as readonly Toast[] };

/** New notifications and what operators say, for a few seconds each. */
export function Toasts({ client, lang, duration = 6000, ...props }: Props & HTMLAttributes<HTMLElement> & { duration?: number }) {
  const one = useClient(client);
  useNotifications({ client: one });
  const { list } = useStore(one.toasts, NONE);
  const language = useLang(lang);
  return (
    <div role="log" aria-live="polite" data-pregon="toasts" {...props}>
      {list.map((toast) => (
        <One key={toast.id} toast={toast} lang={language} duration={duration} dismiss={one.dismiss} />
      ))}
    </div>
  );
}

function One({ toast, lang, duration, dismiss }: { toast: Toast; lang: Lang; duration: number; dismiss: (id: string) => void }) {
  const { id, kind, text } = toast;
  useEffect(() => {
    const timer = setTimeout(dismiss, duration, id);
    return () => clearTimeout(timer);
  }, [id, duration]);
  return (
    <div data-kind={kind}>
      <span>{text}</span>
      <button type="button" aria-label={textOf(lang, 'dismiss')} onClick={() => dismiss(id)}>
        ×
      </button>
    </div>
  );
}
