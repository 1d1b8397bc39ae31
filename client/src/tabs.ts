// How tabs of one user share a connection: the one with the lock has the hub, the others talk to it by BroadcastChannel.
//
// Every tab holds a lock of its own, too. Whoever gets it knows that the tab has gone, even if it crashed.

import { createHub, type Hub, type HubSettings } from './hub.js';
import type { Socket } from './line.js';
import { noOutbox, openOutbox } from './outbox.js';
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

/** Holds a lock until the result is called. Browsers that keep nothing for a page may refuse locks, too. */
export function hold(name: string, got: () => void, refused = () => {}): () => void {
  let free!: () => void;
  const held = new Promise<void>((resolve) => (free = resolve));
  navigator.locks.request(name, () => (got(), held)).catch(refused);
  return free;
}

/** What tabs tell each other may be otherwise in another version of this package: then this name is, too. */
const nameOf = (key: string) => `pregon 1 ${key}`;

export const lockOf = (key: string, tab: string) => `${nameOf(key)} ${tab}`;

export const watch = (key: string, tab: string, gone: () => void) =>
  void navigator.locks.request(lockOf(key, tab), { mode: 'shared' }, gone);

/** With other tabs, if they can share. */
export function openTabs(setting: Setting, Socket: Socket, isShared: boolean, heard: Heard): Tabs {
  const { key, tab } = setting;
  const canShare = isShared && globalThis.navigator?.locks;
  let hub: Hub | undefined;
  let isStopped = false;
  let isHeld = false;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let release = () => {};

  const hear = (message: Down) => {
    clearTimeout(silence);
    silence = undefined;
    if (!isStopped) heard(message);
  };
  const channel = canShare ? new BroadcastChannel(nameOf(key)) : undefined;
  if (channel) {
    channel.onmessage = ({ data: { from, to, down, up } }) => {
      if (down && (!to || to === tab)) hear(down);
      if (up && hub) {
        if (up.t === 'hello') watch(key, from, () => hub?.gone(from));
        hub.receive(from, up);
      }
    };
  }

  function lead() {
    hub = createHub(
      setting,
      Socket,
      setting.user ? openOutbox(key) : noOutbox,
      (down, to) => {
        // Not at once: whoever asks is not answered before it has asked.
        if (!to || to === tab) queueMicrotask(() => hear(down));
        if (to !== tab) channel?.postMessage({ to, down });
      },
      tab,
    );
  }

  /** Leads once it has the lock, and for as long as it has it. */
  function apply(steal?: boolean) {
    release();
    const abort = new AbortController();
    let free!: () => void;
    let mine: Hub | undefined;
    let isReleased = false;
    const held = new Promise<void>((resolve) => (free = resolve));
    const resign = () => {
      mine?.close();
      if (hub === mine) hub = undefined;
      mine = undefined;
    };
    release = () => {
      isReleased = true;
      resign();
      abort.abort();
      free();
    };
    const granted = () => {
      if (isReleased) return;
      lead();
      mine = hub;
      return held;
    };
    navigator.locks
      .request(nameOf(key), steal ? { steal } : { signal: abort.signal }, granted)
      .catch(() => {})
      .then(() => {
        resign();
        // Another tab took it, because this one was silent.
        if (!isReleased) apply();
      });
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
        hear({ t: 'hub' });
        apply();
      },
      () => isStopped || lead(),
    );
  }

  return {
    up,
    poke(now, lost) {
      if (!hub && isHeld) silence ??= setTimeout(() => apply(true), SILENT_MS);
      up({ t: 'poke', now, lost });
    },
    stop() {
      up({ t: 'bye' });
      isStopped = true;
      clearTimeout(silence);
      release();
      giveUp();
      hub?.close();
      hub = undefined;
      channel?.close();
    },
  };
}
