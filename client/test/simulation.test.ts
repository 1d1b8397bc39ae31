// Tabs that come, go, crash and freeze while they hand the connection to each other, in virtual time and at random by a seed. Every
// message that a living tab said is stored once, shown once in every tab, in order, and on its way no more when all has settled.
//
// PREGON_SIMULATE_SEEDS is how many seeds are tried, PREGON_SIMULATE_FROM is the first one. A seed that fails is told with its steps.

import { afterEach, expect, it, vi } from 'vitest';
import { type Client, createClient, type Room, room as roomOf } from '../src/index.js';
import { ANA } from './support/fake.js';
import { Model } from './support/model.js';
import { type Tab, World } from './support/world.js';

const SEEDS = Number(process.env.PREGON_SIMULATE_SEEDS ?? 100);
const FROM = Number(process.env.PREGON_SIMULATE_FROM ?? 1);
const TABS_MAX = 4;
const ROOMS = ['0a0b9502-c454-481e-8985-e9e7f96c1dcb', '5d6f7a80-1b2c-4d3e-9f40-a1b2c3d4e5f6'];
const TOPICS = ROOMS.map((id) => `room:${id.replace(/-/g, '')}`);
/** After so long nothing is on its way any more: a dead connection was noticed, and every wait was over. */
const SETTLED_MS = 150_000;

interface Page {
  tab: Tab;
  client: Client;
  rooms: Room[];
  /** By room: ends listening. */
  leave: ((() => void) | undefined)[];
  said: number;
}

class Simulation {
  readonly world: World;
  readonly model: Model;
  readonly pages: Page[] = [];
  readonly steps: string[] = [];
  /** What must be stored, by its text: whoever said it lives, or the browser has kept it. */
  readonly owed = new Set<string>();
  readonly faults: string[] = [];
  private readonly start: number;
  private others = 0;

  constructor(seed: number) {
    this.world = new World(seed);
    this.model = new Model(this.world);
    this.world.hasStorage = !this.world.chance(0.1);
    this.start = this.world.now;
    if (!this.world.hasStorage) this.step('the browser keeps nothing');
  }

  private step(text: string): void {
    this.steps.push(`${String(this.world.now - this.start).padStart(6)} ${text}`);
  }

  private get live(): Page[] {
    return this.pages.filter(({ tab }) => !tab.isGone);
  }

  /** What somebody does in a tab. */
  private act(page: Page, text: string, work: () => unknown): void {
    this.world.later(page.tab, 0, () => {
      this.step(`tab ${page.tab.number} ${text}`);
      return work();
    });
  }

  private open(): void {
    const { world, model } = this;
    const page = { tab: world.open(), rooms: [], leave: [], said: 0 } as unknown as Page;
    this.pages.push(page);
    const delays = world.chance(0.3);
    // A room in which much is said while the tab joins.
    const loud = world.between(0, 1);
    const within = world.pick([100, 600, 1_500]);
    for (let left = world.chance(0.4) ? world.between(5, 25) : 0; left; left -= 1) world.later(undefined, world.between(0, within), () => this.hearsay(loud));
    this.act(page, 'opens', () => {
      page.client = createClient({
        url: 'http://pregon.test',
        user: ANA.id,
        protocol: 'v1',
        getToken: () => new Promise((resolve) => world.later(page.tab, delays ? world.between(0, 300) : 0, () => resolve('h.e30.s'))),
        WebSocket: model.Socket,
        fetch: model.fetch,
      });
      page.rooms = ROOMS.map((id, at) => roomOf(page.client, id, world.chance(0.3) ? (model.page(TOPICS[at]!) as any) : undefined));
      for (const at of [0, 1]) {
        if (world.chance(0.2)) this.say(page, at);
        if (world.chance(0.8)) this.listen(page, at);
        if (world.chance(0.2)) this.say(page, at);
      }
    });
  }

  private listen(page: Page, at: number): void {
    const { [at]: room } = page.rooms;
    if (page.leave[at] || !room) return;
    this.step(`tab ${page.tab.number} listens to room ${at}`);
    page.leave[at] = room.subscribe(() => {});
  }

  private fault(text: string): void {
    if (this.faults.length < 5) this.faults.push(`${this.world.now - this.start} ${text}`);
  }

  private say(page: Page, at: number): void {
    const { [at]: room } = page.rooms;
    if (!room) return;
    const text = `${page.tab.number}.${at}.${++page.said}`;
    this.step(`tab ${page.tab.number} says ${text}`);
    this.owed.add(text);
    room.send(text);
  }

  private gone(page: Page): void {
    const { tab } = page;
    this.world.gone(tab);
    // What is neither stored nor kept by the browser may be lost with the tab.
    const kept = new Set([...this.world.kept.values()].map(({ content }) => content));
    for (const text of this.owed) if (text.startsWith(`${tab.number}.`) && !kept.has(text)) this.owed.delete(text);
  }

  private close(page: Page): void {
    this.act(page, 'is closed', () => {
      page.client?.close();
      this.world.later(undefined, 0, () => this.gone(page));
    });
  }

  /** One thing that happens. */
  private happen(): void {
    const { world, model } = this;
    const page = this.live.length ? world.pick(this.live) : undefined;
    const at = world.between(0, 1);
    const dice = world.random() * 100;
    if (!page || (dice < 8 && this.live.length < TABS_MAX)) this.open();
    else if (dice < 50) this.act(page, 'speaks', () => Array.from({ length: world.between(1, 3) }, () => this.say(page, at)));
    else if (dice < 56) this.act(page, 'looks', () => this.listen(page, at));
    else if (dice < 60) {
      this.act(page, `leaves room ${at}`, () => {
        page.leave[at]?.();
        page.leave[at] = undefined;
      });
    } else if (dice < 64) this.close(page);
    else if (dice < 67) {
      this.step(`tab ${page.tab.number} crashes`);
      this.gone(page);
    } else if (dice < 71) {
      this.close(page);
      this.open();
    } else if (dice < 75) {
      const ms = world.pick([50, 500, 5_000, 20_000]);
      this.step(`tab ${page.tab.number} freezes for ${ms} ms`);
      page.tab.isFrozen = true;
      world.later(undefined, ms, () => world.thaw(page.tab));
    } else if (dice < 79) {
      this.step('connections break');
      for (const socket of [...model.sockets]) socket.end(1006);
    } else if (dice < 81) {
      this.step('connections are dead');
      for (const socket of model.sockets) socket.isDead = true;
    } else if (dice < 84) {
      const isForgetful = world.chance(0.5);
      this.step(`the server restarts${isForgetful ? ' and has forgotten places' : ''}`);
      model.stop(isForgetful);
      world.later(undefined, world.between(0, 3_000), () => (model.isUp = true));
    } else if (dice < 87) {
      this.step('the server drains');
      for (const socket of model.sockets) {
        socket.give({ type: 'drain', move_after_ms: 10, move_within_ms: 2_000 });
        world.later(undefined, 2_500, () => socket.isOpen && socket.end(1012));
      }
    } else if (dice < 89) {
      this.step('the server finds them slow');
      for (const socket of model.sockets) {
        socket.topics.clear();
        socket.give({ type: 'unsubscribed', topic: '*', code: 'slow', retry: 'later', retry_after_ms: 100, text: '' });
      }
    } else {
      this.hearsay(at);
    }
  }

  /** Somebody else says something. */
  private hearsay(at: number): void {
    const text = `b.${at}.${++this.others}`;
    this.step(`beto says ${text}`);
    this.model.say(TOPICS[at]!, text);
  }

  async run(): Promise<string[]> {
    const { world, model } = this;
    for (let left = world.between(10, 60); left; left -= 1) {
      this.happen();
      await world.run(world.chance(0.4) ? world.between(0, 5) : world.chance(0.1) ? world.between(1_000, 8_000) : world.between(5, 300));
    }
    await world.run(25_000);
    if (!this.live.length) this.open();
    // Nothing is connected before somebody listens.
    for (const page of this.live) this.act(page, 'looks', () => this.listen(page, 0));
    this.step('all is left alone');
    await world.run(SETTLED_MS);
    for (const page of this.live) for (const at of [0, 1]) this.check(page, at);
    // What a tab had kept that was gone before it found the connection is said by the next one.
    for (const page of this.live) this.gone(page);
    this.open();
    this.step('all tabs have gone, and another one looks');
    for (const page of this.live) this.act(page, 'looks', () => this.listen(page, 0));
    await world.run(SETTLED_MS);
    for (const page of this.live) for (const at of [0, 1]) this.check(page, at);
    for (const text of this.owed) if (!TOPICS.some((topic) => model.stored(topic).some(({ content }) => content === text))) this.fault(`${text} is not stored`);
    for (const topic of TOPICS) {
      const texts = model.stored(topic).map(({ content }) => content);
      if (new Set(texts).size !== texts.length) this.fault(`stored twice: ${texts}`);
      for (const { tab } of this.pages) {
        const said = texts.filter((text) => text.startsWith(`${tab.number}.`)).map((text) => Number(text.split('.')[2]));
        if (said.some((number, place) => number < (said[place - 1] ?? 0))) this.fault(`not in the order that tab ${tab.number} said it: ${said}`);
      }
    }
    if (world.kept.size) this.fault(`kept: ${[...world.kept.values()].map(({ content }) => content)}`);
    return this.faults;
  }

  /** What a tab shows when all has settled. */
  private check({ tab, client, rooms, leave }: Page, at: number): void {
    const unsent = JSON.stringify(client.unsent.get().topics);
    if (unsent !== '{}') this.fault(`tab ${tab.number} has unsent: ${unsent}`);
    if (!leave[at]) return;
    const { messages, status } = rooms[at]!.get();
    if (status !== 'live') this.fault(`tab ${tab.number} is ${status} in room ${at}`);
    const texts = this.model.stored(TOPICS[at]!).map(({ content }) => content);
    const shown = messages.map(({ content, state }) => (state === 'sent' ? content : `${content} (${state})`));
    if (shown.join() !== texts.join()) this.fault(`tab ${tab.number} shows of room ${at}:\n     ${shown.join(' ')}\nand not\n     ${texts.join(' ')}`);
  }
}

afterEach(() => {
  vi.unstubAllGlobals();
});

it('tabs hand over the connection, and nothing is lost or told twice', { timeout: 3_600_000 }, async () => {
  const failed: string[] = [];
  for (let seed = FROM; seed < FROM + SEEDS && failed.length < Number(process.env.PREGON_SIMULATE_FAULTS ?? 1); seed += 1) {
    const simulation = new Simulation(seed);
    const faults = await simulation.run();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    if (faults.length) failed.push(`seed ${seed}\n${simulation.steps.join('\n')}\n${faults.join('\n')}`);
  }
  expect(failed.join('\n\n')).toBe('');
});
