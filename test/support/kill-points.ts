import { type Kill, kindOf } from "../fixtures/jobs/faults/src/kinds.js";
import type { MessageEntry, NewEntry } from "./ledger/entry.js";
import { elementAttribute, type Rig } from "./rig.js";

/** What a broker sent is in the supervisor's hands this many milliseconds later. */
const pulledMs = 3;

/**
 * Kills at the points of a message's way that user code cannot see: the moment broker or storage tells of them, before their
 * answer is on its way. What is refused meanwhile (`unavailable`) stands for what the supervisor is about to ask.
 */
export class KillPoints {
  /** Elements whose kill is still to come, by name. */
  readonly #open = new Set<string>();
  /** Element of each output message that is expected. */
  readonly #outputs = new Map<string, string>();
  /** The element for whose kill the broker refuses everything. */
  #refusing: string | undefined;

  constructor(readonly rig: Rig) {
    rig.ledger.listen((entry) => {
      this.#see(entry);
    });
  }

  /** Arms the kills that these elements' names say. */
  arm(elements: readonly string[]): void {
    for (const element of elements) this.#open.add(element);
  }

  #see(entry: NewEntry): void {
    if (entry.source === "sent") for (const id of entry.outputs) this.#outputs.set(id, entry.element);
    else if (entry.source === "storage") this.#seeCommit(entry.name.slice("job/".length));
    else if (entry.source === "fault" && entry.fault === "unavailable") this.#strike();
    else if (entry.source === "broker" && entry.kind !== "start") this.#seeMessage(entry);
  }

  #seeCommit(element: string): void {
    const kill = this.#killOf(element);
    if (kill?.point === "uploadCommitted") this.#kill(element, kill);
    if (kill?.point === "beforePublish") this.#refuse(element);
  }

  #seeMessage({ kind, resource, attributes }: MessageEntry): void {
    if (kind === "publish" && resource === "fault-out") {
      const element = this.#outputs.get(attributes["klio-id"] ?? "") ?? "";
      const kill = this.#killOf(element);
      if (kill?.point === "midPublish" || kill?.point === "afterPublish") this.#kill(element, kill);
      if (kill?.point === "beforeAck") this.#refuse(element);
      return;
    }
    const element = resource === "fault-in-job" ? (attributes[elementAttribute] ?? "") : "";
    const kill = this.#killOf(element);
    if (kind === "acknowledge" && kill?.point === "afterAck") this.#kill(element, kill);
    // Worker-side points are user code's, but for the first: the worker has nothing in hand before.
    if (kind !== "deliver" || kill?.point !== "afterPull" || kill.who !== "supervisor") return;
    setTimeout(() => {
      this.#kill(element, kill);
    }, pulledMs);
  }

  #killOf(element: string): Kill | undefined {
    return this.#open.has(element) ? kindOf(element).kill : undefined;
  }

  #refuse(element: string): void {
    const other = this.#refusing;
    if (other !== undefined && other !== element) this.#open.delete(other);
    this.#refusing = element;
    this.rig.pubsub.setFaults({ unavailable: 1 });
  }

  #strike(): void {
    const element = this.#refusing;
    const kill = element === undefined ? undefined : this.#killOf(element);
    if (element === undefined || kill === undefined) return;
    this.#refusing = undefined;
    this.#kill(element, kill);
    this.rig.pubsub.setFaults({});
  }

  #kill(element: string, { who, point }: Kill): void {
    if (!this.#open.delete(element)) return;
    this.rig.process.signal("SIGKILL", who, { point, element });
  }
}
