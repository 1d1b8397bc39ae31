// How tabs of one user share a connection: the one with the lock has the hub, the others talk to it by BroadcastChannel.
//
// Every tab holds a lock of its own, too. Whoever gets it knows that the tab has gone, even if it crashed.

import { createHub, type Hub, type HubSettings } from './hub.js';
import type { Dial } from './line.js';
import { openOutbox } from './outbox.js';
import type { Down, Up } from './wire.js';

export interface Tabs {
  up(message: Up): void;
  /** Asks the hub whether it is there, and whether the connection is. */
  poke(now?: boolean, lost?: boolean): void;
  stop(): void;
}

/** A hub that has not answered a poke for so long is in a frozen tab: another one takes over. */
const SILENT_MS = 3_000;

export interface Setting extends HubSettings {
  /** Names user and server. */
  key: string;
  tab: string;
}

export type Heard = (message: Down) => void;

/** Holds a lock until the result is called. `ended`: it is held no more, or was refused, as by browsers that keep nothing for a page. */
export function hold(name: string, got: () => unknown, ended: () => unknown, options: LockOptions = {}): () => void {
  let free!: () => void;
  const held = new Promise<void>((resolve) => (free = resolve));
  navigator.locks.request(name, options, () => (got(), held)).then(ended, ended);
  return free;
}

/** What tabs tell each other may be otherwise in another version of this package: then this name is, too. */
const nameOf = (key: string) => `pregon 2 ${key}`;

export const lockOf = (key: string, tab: string) => `${nameOf(key)} ${tab}`;

export const watch = (key: string, tab: string, gone: () => void) =>
  void navigator.locks.request(lockOf(key, tab), { mode: 'shared' }, gone);

/** With other tabs, if they can share. */
export function openTabs(setting: Setting, dial: Dial, isShared: boolean, heard: Heard): Tabs {
  const { key, tab } = setting;
  const canShare = isShared && globalThis.navigator?.locks;
  let hub: Hub | undefined;
  let isStopped = false;
  let isHeld = false;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let release = resign;

  /** When the hub that is heard began. What an older one says is late, or its tab was frozen: it counts no more. */
  let newest = 0;
  /** When the one in this tab began. */
  let began = 0;

  const hear = (message: Down, since = newest) => {
    if (isStopped || since < newest) return;
    newest = since;
    clearTimeout(silence);
    silence = undefined;
    heard(message);
  };
  const channel = canShare ? new BroadcastChannel(nameOf(key)) : undefined;
  if (channel) {
    channel.onmessage = ({ data: { from, to, down, since, up } }) => {
      if (down && (!to || to === tab)) hear(down, since);
      if (up && hub) {
        if (up.type === 'hello') watch(key, from, () => hub?.gone(from));
        hub.receive(from, up);
      }
    };
  }

  function resign() {
    if (!hub) return;
    hub.close();
    hub = undefined;
    // There may be another one for long, if this tab was frozen.
    queueMicrotask(() => hear({ type: 'hub' }));
  }

  function lead() {
    const since = (began = Math.max(Date.now(), newest + 1));
    const send = (down: Down, to?: string) => {
      // Not at once: whoever asks is not answered before it has asked.
      if (!to || to === tab) queueMicrotask(() => hear(down, since));
      if (to !== tab) channel?.postMessage({ to, down, since });
    };
    hub = createHub(setting, dial, openOutbox(setting.user && key), send, tab);
  }

  /** Leads once it has the lock, and for as long as it has it. */
  function apply(steal?: boolean) {
    release();
    const abort = new AbortController();
    const { signal } = abort;
    const free = hold(
      nameOf(key),
      () => signal.aborted || lead(),
      // Another tab took it, because this one was silent.
      () => signal.aborted || apply(),
      steal ? { steal } : { signal },
    );
    release = () => {
      resign();
      abort.abort();
      free();
    };
  }

  const up = (message: Up) => (hub ? hub.receive(tab, message) : isHeld && channel?.postMessage({ from: tab, up: message }));

  let giveUp = () => {};
  if (!canShare) lead();
  else {
    // Not before: whoever watches this tab would think that it has gone.
    giveUp = hold(
      lockOf(key, tab),
      () => {
        isHeld = true;
        hear({ type: 'hub' });
        apply();
      },
      () => isStopped || lead(),
    );
  }

  return {
    up,
    poke(now, lost) {
      // A tab that was frozen when it got the lock, and had lost it already, may have led later than this one: nobody hears this one.
      if (hub && began < newest) apply();
      if (!hub && isHeld) silence ??= setTimeout(() => apply(true), SILENT_MS);
      up({ type: 'poke', now, lost });
    },
    stop() {
      up({ type: 'bye' });
      isStopped = true;
      clearTimeout(silence);
      release();
      giveUp();
      channel?.close();
    },
  };
}
