import type { ConnectError } from "@connectrpc/connect";
import type { Consumer } from "./consumer.js";

/** Those who receive from one subscription, each in its turn. */
export class Consumers {
  readonly #consumers = new Set<Consumer>();
  #turns: Consumer[] = [];
  #turn = 0;

  get size(): number {
    return this.#consumers.size;
  }

  add(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.#turns = [...this.#consumers];
  }

  /** False when it was not there. */
  delete(consumer: Consumer): boolean {
    const was = this.#consumers.delete(consumer);
    this.#turns = [...this.#consumers];
    return was;
  }

  has(consumer: Consumer): boolean {
    return this.#consumers.has(consumer);
  }

  anyRoom(): boolean {
    return this.#turns.some((consumer) => consumer.hasRoom(0));
  }

  anyHurried(): boolean {
    return this.#turns.some((consumer) => consumer.hurried === true && consumer.hasRoom(0));
  }

  /** The next in turn that a message of this many bytes may be sent to. */
  nextWithRoom(bytes: number): Consumer | undefined {
    for (let i = 0; i < this.#turns.length; i += 1) {
      const at = (this.#turn + i) % this.#turns.length;
      const consumer = this.#turns[at];
      if (consumer?.hasRoom(bytes) !== true) continue;
      this.#turn = at + 1;
      return consumer;
    }
    return undefined;
  }

  end(reason: ConnectError): void {
    for (const consumer of [...this.#consumers]) consumer.end(reason);
  }
}
