// A browser with several tabs in virtual time: timers, Web Locks, BroadcastChannel, IndexedDB, and what goes over the network, each
// as late as a seed says. One task runs at a time, in the name of a tab; a tab that is frozen does its tasks later, one that has
// gone does none.

import { vi } from 'vitest';

export interface Tab {
  readonly number: number;
  isFrozen: boolean;
  isGone: boolean;
  /** What it would have done while it was frozen. */
  held: Task[];
}

interface Task {
  at: number;
  n: number;
  /** Nobody's are those of the browser itself, and of servers. */
  tab: Tab | undefined;
  run: () => unknown;
}

type Request = { name: string; tab: Tab; isShared: boolean; granted: () => void; stolen: () => void };

/** mulberry32 */
const generator = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

/** Until promises have done what they can. */
const settled = setImmediate;

export class World {
  now = 1_750_000_000_000;
  readonly random: () => number;
  readonly tabs: Tab[] = [];
  /** The user's unsent messages, as the browser keeps them. */
  readonly kept = new Map<string, any>();
  /** False: the browser keeps nothing. */
  hasStorage = true;
  private current: Tab | undefined;
  private tasks: Task[] = [];
  private numbers = 0;
  private pipes = new Map<string, number>();
  private cancelled = new Set<number>();
  private channels = new Map<string, Set<{ tab: Tab; onmessage?: (event: { data: any }) => void }>>();
  private held: Request[] = [];
  private waiting: Request[] = [];

  constructor(seed: number) {
    this.random = generator(seed);
    // The first numbers of neighbours are alike.
    for (let i = 0; i < 8; i += 1) this.random();
    vi.spyOn(Date, 'now').mockImplementation(() => this.now);
    vi.spyOn(Math, 'random').mockImplementation(this.random);
    vi.spyOn(crypto, 'getRandomValues').mockImplementation((bytes: any) => bytes.map(() => this.random() * 256));
    const timer = (work: (...args: any[]) => void, ms = 0, ...args: any[]) => this.after(ms, () => work(...args));
    vi.stubGlobal('setTimeout', timer);
    vi.stubGlobal('clearTimeout', (id: number | undefined) => id && this.cancelled.add(id));
    vi.stubGlobal('clearInterval', (id: number | undefined) => id && this.cancelled.add(id));
    vi.stubGlobal('setInterval', (work: () => void, ms: number) => this.every(ms, work));
    vi.stubGlobal('navigator', { onLine: true, locks: { request: this.lock } });
    vi.stubGlobal('BroadcastChannel', this.channel());
    vi.stubGlobal('indexedDB', this.database());
    vi.stubGlobal('IDBKeyRange', { bound: (lower: string, upper: string) => ({ lower, upper }) });
  }

  // ── Time ───────────────────────────────────────────────────────────────────────────────────────

  /** One of the whole numbers from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.random() * (most - least + 1));
  }

  chance(part: number): boolean {
    return this.random() < part;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.between(0, list.length - 1)]!;
  }

  /** Nearly at once most of the time, and now and then much later. */
  delay(): number {
    return this.chance(0.15) ? this.between(5, 400) : this.between(0, 4);
  }

  /** A task of a tab, or of nobody. */
  later(tab: Tab | undefined, ms: number, run: () => unknown): number {
    const task = { at: this.now + Math.max(0, ms), n: ++this.numbers, tab, run };
    this.put(task);
    return task.n;
  }

  /** What goes by one pipe arrives in its order. */
  pipe(name: string, tab: Tab | undefined, run: () => unknown): void {
    const at = Math.max(this.pipes.get(name) ?? 0, this.now + this.delay());
    this.pipes.set(name, at);
    this.later(tab, at - this.now, run);
  }

  private put(task: Task): void {
    let place = this.tasks.length;
    while (place && this.tasks[place - 1]!.at > task.at) place -= 1;
    this.tasks.splice(place, 0, task);
  }

  private after = (ms: number, work: () => void) => this.later(this.current, ms, work);

  private every(ms: number, work: () => void): number {
    const tab = this.current;
    const again = (id: number) => {
      if (this.cancelled.has(id)) return;
      this.later(tab, ms, () => {
        if (this.cancelled.has(id)) return;
        work();
        again(id);
      });
    };
    const id = ++this.numbers;
    again(id);
    return id;
  }

  /** Everything that happens within so many milliseconds. */
  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    while (this.tasks.length && this.tasks[0]!.at <= end) {
      const task = this.tasks.shift()!;
      if (this.cancelled.delete(task.n) || task.tab?.isGone) continue;
      if (task.tab?.isFrozen) {
        task.tab.held.push(task);
        continue;
      }
      this.now = Math.max(this.now, task.at);
      this.current = task.tab;
      task.run();
      await new Promise((resolve) => settled(resolve));
      this.current = undefined;
    }
    this.now = end;
  }

  // ── Tabs ───────────────────────────────────────────────────────────────────────────────────────

  open(): Tab {
    const tab = { number: this.tabs.length + 1, isFrozen: false, isGone: false, held: [] };
    this.tabs.push(tab);
    return tab;
  }

  get live(): Tab[] {
    return this.tabs.filter((tab) => !tab.isGone);
  }

  thaw(tab: Tab): void {
    tab.isFrozen = false;
    for (const task of tab.held.splice(0)) this.put({ ...task, at: this.now });
  }

  gone(tab: Tab): void {
    tab.isGone = true;
    for (const channels of this.channels.values()) for (const channel of channels) if (channel.tab === tab) channels.delete(channel);
    this.later(undefined, this.delay(), () => {
      this.held = this.held.filter((one) => one.tab !== tab);
      this.waiting = this.waiting.filter((one) => one.tab !== tab);
      this.grant();
    });
  }

  // ── What tabs share ────────────────────────────────────────────────────────────────────────────

  private lock = (name: string, ...rest: any[]): Promise<unknown> => {
    const tab = this.current!;
    const [options, work] = rest.length > 1 ? rest : [{}, rest[0]];
    const toBrowser = (run: () => void) => this.pipe(`locks ${tab.number}`, undefined, () => tab.isGone || run());
    return new Promise((resolve, reject) => {
      const fail = () => reject(new DOMException('', 'AbortError'));
      let isGranted = false;
      const free = () => toBrowser(() => {
        this.held = this.held.filter((one) => one !== request);
        this.grant();
      });
      const request: Request = {
        name,
        tab,
        isShared: options.mode === 'shared',
        granted: () => {
          isGranted = true;
          this.pipe(`granted ${tab.number}`, tab, () => void Promise.resolve(work()).then(resolve, reject).finally(free));
        },
        stolen: () => this.pipe(`granted ${tab.number}`, tab, fail),
      };
      options.signal?.addEventListener('abort', () => {
        if (isGranted) return;
        this.waiting = this.waiting.filter((one) => one !== request);
        fail();
      });
      toBrowser(() => {
        if (options.signal?.aborted) return;
        if (!options.steal) this.waiting.push(request);
        else {
          this.waiting.unshift(request);
          for (const one of this.held) if (one.name === name) one.stolen();
          this.held = this.held.filter((one) => one.name !== name);
        }
        this.grant();
      });
    });
  };

  private grant(): void {
    const passed = new Set<string>();
    for (const request of this.waiting) {
      const { name, isShared } = request;
      const isFree = this.held.every((one) => one.name !== name || (one.isShared && isShared));
      if (!isFree || passed.has(name)) passed.add(name);
      else {
        this.held.push(request);
        request.granted();
      }
    }
    this.waiting = this.waiting.filter((one) => !this.held.includes(one));
  }

  private channel() {
    const world = this;
    return class {
      onmessage?: (event: { data: any }) => void;
      readonly tab = world.current!;
      readonly all: Set<any>;

      constructor(name: string) {
        this.all = world.channels.get(name) ?? new Set();
        world.channels.set(name, this.all);
        this.all.add(this);
      }

      postMessage(message: unknown) {
        for (const other of this.all) {
          if (other === this) continue;
          const data = structuredClone(message);
          world.pipe(`channel ${this.tab.number} ${other.tab.number}`, other.tab, () => this.all.has(other) && other.onmessage?.({ data }));
        }
      }

      close() {
        this.all.delete(this);
      }
    };
  }

  private database() {
    const operation = (work: () => unknown) => {
      const tab = this.current!;
      const request: any = {};
      // In the order in which it was begun, whoever did. What was on its way when a tab crashed is lost.
      this.pipe('storage', undefined, () => {
        if (tab.isGone) return;
        request.result = work();
        this.pipe(`stored ${tab.number}`, tab, () => request.onsuccess?.());
      });
      return request;
    };
    const within = (key: string, { lower, upper }: { lower: string; upper: string }) => key >= lower && key <= upper;
    const store = {
      put: (value: unknown, key: string) => {
        const copy = structuredClone(value);
        return operation(() => this.kept.set(key, copy));
      },
      delete: (key: any) => operation(() => [...this.kept.keys()].forEach((one) => (one === key || (key.lower && within(one, key))) && this.kept.delete(one))),
      getAll: (range: any) => operation(() => [...this.kept].filter(([key]) => within(key, range)).sort().map(([, value]) => structuredClone(value))),
    };
    return {
      open: () => {
        if (!this.hasStorage) throw new DOMException('', 'SecurityError');
        return operation(() => ({ createObjectStore() {}, transaction: () => ({ objectStore: () => store }) }));
      },
    };
  }

  /** Whose task runs now. */
  get running(): Tab {
    return this.current!;
  }
}
