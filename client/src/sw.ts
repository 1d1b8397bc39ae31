// The script of a service worker: shows what a pregon server pushes, and opens the right page when it is clicked.

/** What a push says beside its texts: `type` is `message` (with `room`, `message`, perhaps `sender`) or `notification`. */
export interface PushData {
  type: 'message' | 'notification';
  /** The address that the server thinks right: `#/chat/<room>` and the like, behind its PREGON_PUSH_PAGE. */
  navigate: string;
  room?: string;
  message?: string;
  sender?: string;
  notification?: string;
  post?: string | null;
}

export interface PushHandling {
  /** The address of a page that shows it; by default `navigate`. */
  url?: (data: PushData) => string;
  /** A picture beside the texts. */
  icon?: string;
  /** Also where a page of this origin is in front: it shows what came by itself. */
  always?: boolean;
}

// The types of workers and those of pages exclude one another, so what is needed is named here.
interface Waiting {
  waitUntil(work: Promise<unknown>): void;
}
interface Window {
  focused: boolean;
  visibilityState: string;
  url: string;
  focus(): Promise<Window>;
  navigate(url: string): Promise<Window | null>;
}
interface Scope {
  addEventListener(type: string, listener: (event: never) => void): void;
  registration: ServiceWorkerRegistration;
  clients: { matchAll(options: object): Promise<Window[]>; openWindow(url: string): Promise<Window | null>; claim(): Promise<void> };
  location: { origin: string };
  skipWaiting(): Promise<void>;
}

/** Handles pushes. Call it once, at the top of the worker's script. */
export function handlePush(options: PushHandling = {}, scope: unknown = globalThis): void {
  const { addEventListener, registration, clients, location, skipWaiting } = bound(scope as Scope);
  const windows = () => clients.matchAll({ type: 'window', includeUncontrolled: true });

  addEventListener('install', () => skipWaiting());
  addEventListener('activate', (event: Waiting) => event.waitUntil(clients.claim()));

  addEventListener('push', (event: Waiting & { data: { json(): any } | null }) => {
    event.waitUntil(
      (async () => {
        const said = read(event.data);
        if (!said) return;
        const isInFront = !options.always && (await windows()).some((page) => page.focused && page.visibilityState === 'visible');
        if (isInFront) return;
        const { title, body, tag, lang, dir, navigate, data } = said;
        const more = { renotify: !!tag } as object;
        await registration.showNotification(`${title}`, { body, tag, lang, dir, icon: options.icon, data: { ...data, navigate }, ...more });
      })(),
    );
  });

  addEventListener('notificationclick', (event: Waiting & { notification: { close(): void; data: PushData } }) => {
    event.notification.close();
    event.waitUntil(
      (async () => {
        const { data } = event.notification;
        const url = new URL(options.url?.(data) ?? data.navigate, location.origin);
        // A push names a page of this origin; anything else is not opened from here.
        if (url.origin !== location.origin) url.href = location.origin;
        const open = await windows();
        const page = open.find((page) => page.url === url.href) ?? open[0];
        if (!page) return clients.openWindow(url.href);
        // Browsers allow it on a click; where one does not, the page is still led to the place.
        await page.focus().catch(() => {});
        return page.url === url.href ? page : page.navigate(url.href).catch(() => clients.openWindow(url.href));
      })(),
    );
  });
}

function read(data: { json(): any } | null) {
  try {
    return data?.json().notification;
  } catch {
    return undefined;
  }
}

/** The worker's own functions, which must be called on it. */
function bound(scope: Scope) {
  return {
    registration: scope.registration,
    clients: scope.clients,
    location: scope.location,
    skipWaiting: () => scope.skipWaiting(),
    addEventListener: (type: string, listener: (event: any) => void) => scope.addEventListener(type, listener),
  };
}
