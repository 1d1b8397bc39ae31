// The hub in a SharedWorker.

import { createHub, type Hub } from './hub.js';
import { openOutbox } from './outbox.js';
import { type Setting, watch } from './tabs.js';
import type { Down, Up } from './wire.js';

/** What the script of a SharedWorker calls, so that it holds the connections of all tabs. */
export function serve(scope: object = globalThis): void {
  const hubs = new Map<string, { hub: Hub; ports: Map<string, MessagePort> }>();
  (scope as { onconnect: (event: MessageEvent) => void }).onconnect = ({ ports: [port] }) => {
    let mine: string;
    let served: { hub: Hub; ports: Map<string, MessagePort> };
    port!.onmessage = ({ data }: MessageEvent<Up | { type: 'open'; setting: Setting }>) => {
      if (data.type !== 'open') return served?.hub.receive(mine, data);
      const { key, tab } = data.setting;
      const isNew = !hubs.has(key);
      if (isNew) {
        const ports = new Map<string, MessagePort>();
        const send = (down: Down, to?: string) => {
          for (const [name, port] of ports) if (!to || to === name) port.postMessage(down);
        };
        hubs.set(key, { ports, hub: createHub(data.setting, (url, protocols) => new WebSocket(url, protocols), openOutbox(key), send) });
      }
      mine = tab;
      served = hubs.get(key)!;
      served.ports.set(tab, port!);
      port!.postMessage({ type: 'hub' } satisfies Down);
      watch(key, tab, () => {
        served.ports.delete(tab);
        served.hub.gone(tab);
      });
    };
  };
}
