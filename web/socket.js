// Sockets that stay open: each reports its state, and reconnects when it can.

import { freshAccess, renew } from './api.js';
import { session } from './session.js';

const DELAYS_S = [1, 2, 4, 8, 16, 30];
/** A connection that lived this long was good: the next failure starts again with the first delay. */
const GOOD_AFTER_MS = 10_000;
const PING_EVERY_MS = 25_000;
const PONG_WITHIN_MS = 10_000;
/** A handshake without an answer by then is tried again; browsers would wait for minutes. */
const ANSWER_WITHIN_MS = 10_000;

const REFUSED = 1000;
const HANDSHAKE_FAILED = 1006;
const RESTART = 1012;
const TOKEN_EXPIRED = 4001;
const REMOVED = 4003;

/**
 * A socket below `/ws/`. States: `connecting`, `live`, `waiting` (with `until`, ms), `offline`, and the final `closed`
 * (with `removed`, `text`). `live` begins with the server's greeting, or when the socket opens if there is none.
 */
export class LiveSocket {
  constructor(path, { onFrame, onState, greeting = null }) {
    this.path = path;
    this.greeting = greeting;
    this.onFrame = onFrame;
    this.onState = onState;
    this.state = { name: 'connecting' };
    this.failures = 0;
    this.renewed = false;
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    addEventListener('online', () => this.networkCame(), { signal });
    addEventListener('offline', () => this.dropped(0), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.retryNow(), { signal });
    this.connect();
  }

  get live() {
    return this.state.name === 'live';
  }

  /** Sends a frame; false if there is no live connection. */
  send(frame) {
    if (!this.live || this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** Closes for good. */
  close() {
    this.stopped = true;
    this.listeners.abort();
    this.detach();
  }

  retryNow() {
    if (this.stopped || !['waiting', 'offline'].includes(this.state.name)) return;
    this.connect();
  }

  /** The current attempt began without this network. */
  networkCame() {
    if (!this.stopped && !['live', 'closed'].includes(this.state.name)) this.connect();
  }

  async connect() {
    this.detach();
    const attempt = Symbol('attempt');
    this.attempt = attempt;
    this.enter({ name: 'connecting' });
    let token;
    try {
      token = await freshAccess();
    } catch {
      if (session() && attempt === this.attempt) this.dropped(0);
      return;
    }
    if (this.stopped || attempt !== this.attempt) return;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const address = `${scheme}://${location.host}${this.path}?token=${encodeURIComponent(token)}`;
    const socket = new WebSocket(address);
    this.socket = socket;
    this.refusal = '';
    this.opened = false;
    socket.onopen = () => {
      this.opened = true;
      if (!this.greeting) this.welcomed();
    };
    socket.onmessage = (event) => this.received(event.data);
    socket.onclose = (event) => this.dropped(event.code);
    this.answerTimer = setTimeout(() => this.dropped(0), ANSWER_WITHIN_MS);
  }

  received(text) {
    this.heardAt = Date.now();
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.type === 'pong') this.answersPings = true;
    if (frame.type === this.greeting) this.welcomed();
    if (frame.type === 'error') {
      this.refusal = frame.message ?? frame.error ?? '';
      if (!this.live) return;
    }
    this.onFrame(frame);
  }

  welcomed() {
    this.liveSince = Date.now();
    clearTimeout(this.answerTimer);
    this.pinger = setInterval(() => this.ping(), PING_EVERY_MS);
    this.enter({ name: 'live' });
  }

  /** The browser does not report a network that silently died. A server that has answered pings must answer again. */
  ping() {
    const sentAt = Date.now();
    this.send({ type: 'ping', timestamp: sentAt });
    if (!this.answersPings) return;
    this.pongTimer = setTimeout(() => {
      if (this.heardAt < sentAt) this.dropped(0);
    }, PONG_WITHIN_MS);
  }

  async dropped(code) {
    const lived = this.liveSince ? Date.now() - this.liveSince : 0;
    this.detach();
    if (this.stopped || this.state.name === 'closed') return;
    if (lived > GOOD_AFTER_MS) {
      this.failures = 0;
      this.renewed = false;
    }
    if (code === REMOVED) return this.enter({ name: 'closed', removed: true, text: '' });

    if ((code === TOKEN_EXPIRED || this.tokenRefused(code)) && !this.renewed) {
      this.renewed = true;
      this.enter({ name: 'connecting' });
      try {
        await renew();
        return this.connect();
      } catch {
        if (!session()) return;
      }
    } else if (this.refusedForGood(code)) {
      return this.enter({ name: 'closed', removed: false, text: this.refusal });
    }
    this.wait(code === RESTART ? 300 + Math.random() * 1200 : this.backoffMs());
  }

  /** A refused handshake does not say why: the token is renewed once, then it waits as after any failure. */
  tokenRefused(code) {
    return code === HANDSHAKE_FAILED && !this.opened;
  }

  refusedForGood() {
    return false;
  }

  /** A jitter of a fifth in both directions keeps a thousand pages from reconnecting at the same instant. */
  backoffMs() {
    const seconds = DELAYS_S[Math.min(this.failures, DELAYS_S.length - 1)];
    this.failures += 1;
    return seconds * 1000 * (0.8 + Math.random() * 0.4);
  }

  wait(ms) {
    if (this.stopped) return;
    clearTimeout(this.timer);
    if (!navigator.onLine) return this.enter({ name: 'offline' });
    this.timer = setTimeout(() => this.connect(), ms);
    this.enter({ name: 'waiting', until: Date.now() + ms });
  }

  detach() {
    clearTimeout(this.timer);
    clearTimeout(this.pongTimer);
    clearTimeout(this.answerTimer);
    clearInterval(this.pinger);
    this.liveSince = null;
    this.attempt = null;
    if (!this.socket) return;
    this.socket.onopen = null;
    this.socket.onmessage = null;
    this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  enter(state) {
    this.state = state;
    if (!this.stopped) this.onState(state);
  }
}

/** One room's chat. A refused socket opens, too, but only to say why it closes. */
export class RoomSocket extends LiveSocket {
  constructor(roomId, { onFrame, onState }) {
    super(`/ws/chat/${roomId}/`, { onFrame, onState, greeting: 'connection_success' });
  }

  tokenRefused(code) {
    return code === REFUSED && this.refusal.startsWith('Token');
  }

  refusedForGood(code) {
    return code === REFUSED;
  }
}
