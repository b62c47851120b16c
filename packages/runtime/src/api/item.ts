/** What travels through a job: the element a message names, and what the transforms have made of it so far. */
export interface Item<Payload = Uint8Array> {
  /** The reference to an object that the message carries, e.g. `rec-1`. */
  readonly element: string;
  /** At the job's input: the message's payload (often empty). Further on: what the transform before returned. */
  readonly payload: Payload;
  /** The same element with another payload. */
  with<Next>(payload: Next): Item<Next>;
}

const brand = Symbol.for("klio.item");

/** Makes an item. Jobs receive theirs; a transform needs this only through `item.with`. */
export function makeItem<Payload>(element: string, payload: Payload): Item<Payload> {
  return Object.freeze({
    [brand]: true,
    element,
    payload,
    with: <Next>(next: Next) => makeItem(element, next),
  });
}

export function isItem(value: unknown): value is Item<unknown> {
  return typeof value === "object" && value !== null && brand in value;
}
