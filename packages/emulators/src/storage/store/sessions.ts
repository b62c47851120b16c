import { randomUUID } from "node:crypto";

/** What goes on over several requests, by an id that the client gets. There are `max` at most: the oldest is ended first. */
export class Sessions<T> {
  readonly #byId = new Map<string, T>();

  constructor(
    readonly max: number,
    readonly end: (session: T) => void,
  ) {}

  add(session: T): string {
    const id = randomUUID();
    this.#byId.set(id, session);
    const oldest = this.#byId.keys().next();
    if (this.#byId.size > this.max && oldest.done !== true) this.remove(oldest.value);
    return id;
  }

  get(id: string): T | undefined {
    return this.#byId.get(id);
  }

  remove(id: string): void {
    const session = this.#byId.get(id);
    this.#byId.delete(id);
    if (session !== undefined) this.end(session);
  }
}
