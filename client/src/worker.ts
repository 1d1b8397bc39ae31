// A tab whose hub is in a SharedWorker.

import { type Heard, hold, lockOf, type Setting, type Tabs } from './tabs.js';
import type { Up } from './wire.js';

export function openWorker(setting: Setting, worker: SharedWorker, heard: Heard): Tabs {
  const { port } = worker;
  let isOpen = false;
  port.onmessage = ({ data }) => heard(data);
  // Not before: the worker would think that the tab has gone.
  const got = () => {
    isOpen = true;
    port.postMessage({ type: 'open', setting });
  };
  const giveUp = hold(lockOf(setting.key, setting.tab), got, () => {});
  const up = (message: Up) => isOpen && port.postMessage(message);
  return {
    up,
    poke: (now, lost) => up({ type: 'poke', now, lost }),
    stop() {
      up({ type: 'bye' });
      port.onmessage = null;
      giveUp();
    },
  };
}
