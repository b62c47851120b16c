/** How exact a time is, in milliseconds. */
const grain = 50;

/** Things that fall due at a time; a thing can be moved and taken out cheaply. */
export class Due<T extends object> {
  readonly #buckets = new Map<number, Set<T>>();
  readonly #bucketOf = new Map<T, number>();

  /** `time` in milliseconds since the epoch. A thing that is in already is moved. */
  set(item: T, time: number): void {
    const bucket = Math.ceil(time / grain);
    const before = this.#bucketOf.get(item);
    if (before === bucket) return;
    if (before !== undefined) this.#take(item, before);
    const items = this.#buckets.get(bucket);
    if (items === undefined) this.#buckets.set(bucket, new Set([item]));
    else items.add(item);
    this.#bucketOf.set(item, bucket);
  }

  /** The same, unless it is due later already. */
  postpone(item: T, time: number): void {
    const before = this.#bucketOf.get(item);
    if (before === undefined || before < Math.ceil(time / grain)) this.set(item, time);
  }

  delete(item: T): void {
    const bucket = this.#bucketOf.get(item);
    if (bucket === undefined) return;
    this.#bucketOf.delete(item);
    this.#take(item, bucket);
  }

  /** Takes out what is due, the earliest first. */
  takeDue(now: number): T[] {
    const last = Math.floor(now / grain);
    const due = [...this.#buckets.keys()].filter((bucket) => bucket <= last).sort((a, b) => a - b);
    return due.flatMap((bucket) => {
      const items = [...(this.#buckets.get(bucket) ?? [])];
      this.#buckets.delete(bucket);
      for (const item of items) this.#bucketOf.delete(item);
      return items;
    });
  }

  clear(): void {
    this.#buckets.clear();
    this.#bucketOf.clear();
  }

  #take(item: T, bucket: number): void {
    const items = this.#buckets.get(bucket);
    items?.delete(item);
    if (items?.size === 0) this.#buckets.delete(bucket);
  }
}
