const soon = () => new Promise((resolve) => setTimeout(resolve, 10));

/** What is asked again and again, once it is there, or as it should be; otherwise the test fails. `pause` is what is waited for between. */
export async function until<T>(what: () => T | Promise<T>, holds: (value: T) => unknown = Boolean, within = 15_000, pause: () => Promise<unknown> = soon): Promise<Exclude<T, false | null | undefined>> {
  const end = Date.now() + within;
  for (;;) {
    const value = await what();
    if (holds(value)) return value as Exclude<T, false | null | undefined>;
    if (Date.now() > end) throw new Error(`never: ${holds === Boolean ? what : JSON.stringify(value)}`);
    await pause();
  }
}
