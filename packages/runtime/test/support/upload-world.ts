import { setImmediate as quiet } from "node:timers/promises";
import { MemoryStore } from "../../src/objects/memory-store.js";
import { type ObjectPath, type ObjectStore, uriOf } from "../../src/objects/store.js";
import type { Request } from "../../src/objects/upload-rule.js";
import type { World } from "./interleavings.js";
import { brokenPromises, type MessageEvent, promises } from "./upload-promises.js";

/** How an attempt ended: it decides afresh, or what it sends on and how each object came about. */
export type AttemptEnd =
  | { readonly again: true }
  | {
      readonly again: false;
      readonly sends: "outputs" | "pass-through" | "nothing";
      readonly writes: readonly ("uploaded" | "adopted" | "kept")[];
    };

/** One attempt of a message: looks, decides, writes. What it does may depend on nothing but what the store answers. */
export type Attempt = (store: ObjectStore, request: Request) => Promise<AttemptEnd>;

/** What one attempt does when its end is known: `send` and `acknowledge` are steps. */
export type Ending = (send: () => Promise<void>, acknowledge: () => Promise<void>) => Promise<void>;

export interface Scenario {
  readonly attempt: Attempt;
  readonly ending: Ending;
  readonly request: Request;
  /** How many attempts run at once (a lease was lost, a worker was paused). */
  readonly attempts: number;
  /** Somebody else's request for the same objects. Its attempt does not crash, and what it sends are no steps. */
  readonly foreign: Request | undefined;
  /** Names of the objects that an attempt writes; the first is the one whose existence is looked at before all else. */
  readonly objects: readonly string[];
  /** Whether somebody made the first object long before. */
  readonly madeBefore: boolean;
  /** How many attempts may crash, each at any of its steps. A further attempt takes the place of each. */
  readonly crashes: number;
  /** How many replies to writes may be lost. The client repeats the request by itself. */
  readonly lostReplies: number;
}

interface Step {
  readonly label: string;
  readonly isWrite: boolean;
  /** Does it, and hands out the answer. */
  readonly take: () => Promise<void>;
  /** Does it; the answer is lost, and the client asks once more. */
  readonly takeUnheard: () => Promise<void>;
}

interface Running {
  readonly name: string;
  readonly request: Request;
  readonly isForeign: boolean;
  /** What it was answered since it last began afresh. */
  answers: string[];
  state: "runs" | "ended" | "crashed";
  step: Step | undefined;
}

const bucket = "bucket";

/**
 * Attempts of messages against one store. Every call of the store is a step, and so are sending and acknowledging. That a
 * killed worker's request arrives after its death needs no step of its own: it is the order in which the worker dies right
 * after, and what takes its place began before, as a second attempt at once does.
 */
export class UploadWorld implements World {
  readonly #store = new MemoryStore();
  readonly #attempts: Running[] = [];
  readonly #histories: { readonly own: MessageEvent[]; readonly foreign: MessageEvent[] } = { own: [], foreign: [] };
  #crashes: number;
  #lostReplies: number;

  private constructor(readonly scenario: Scenario) {
    this.#crashes = scenario.crashes;
    this.#lostReplies = scenario.lostReplies;
    if (scenario.madeBefore) this.#store.put({ bucket, name: scenario.objects[0] ?? "" }, Buffer.from("long before"));
    for (let i = 0; i < scenario.attempts; i += 1) this.#begin(scenario.request);
    if (scenario.foreign !== undefined) this.#begin(scenario.foreign);
  }

  static async start(scenario: Scenario): Promise<UploadWorld> {
    const world = new UploadWorld(scenario);
    await quiet();
    return world;
  }

  choices(): readonly string[] {
    return this.#attempts.flatMap(({ name, step, isForeign }) => {
      if (step === undefined) return [];
      const choices = [`${name}: ${step.label}`];
      if (step.isWrite && this.#lostReplies > 0) choices.push(`${name}: ${step.label}, its reply is lost`);
      if (this.#crashes > 0 && !isForeign) choices.push(`${name}: crashes before ${step.label}`);
      return choices;
    });
  }

  async take(choice: string): Promise<void> {
    const [name, what = ""] = choice.split(": ");
    const attempt = this.#attempts.find((a) => a.name === name);
    if (attempt?.step === undefined) throw new Error(`there is no ${choice}`);
    const { step } = attempt;
    attempt.step = undefined;
    if (what.startsWith("crashes")) {
      this.#crashes -= 1;
      attempt.state = "crashed";
      this.#begin(attempt.request);
    } else if (what === step.label) {
      await step.take();
    } else {
      this.#lostReplies -= 1;
      await step.takeUnheard();
    }
    await quiet(); // nothing but promises is waited for: now everybody has ended or waits at a step
  }

  fingerprint(): string {
    // Attempts of one message are alike, so which of them got where is the same; nothing comes of those that are over.
    const attempts = this.#attempts
      .filter((a) => a.state === "runs")
      .map(({ isForeign, step, answers }) => JSON.stringify([isForeign, step?.label, answers]))
      .sort();
    const objects = [...this.#store.objects].map(([uri, { generation, by }]) => [uri, generation, by]);
    return JSON.stringify([attempts, objects, this.#histories, this.#crashes, this.#lostReplies]);
  }

  broken(): readonly string[] {
    const { request, foreign, objects } = this.scenario;
    const uris = objects.map((name) => uriOf({ bucket, name }));
    return [
      ...this.#attempts.flatMap((a) => (a.state === "runs" ? [promises.end] : [])),
      ...brokenPromises(request, this.#histories.own, uris),
      ...(foreign === undefined ? [] : brokenPromises(foreign, this.#histories.foreign, uris)),
    ];
  }

  #begin(request: Request): void {
    const isForeign = request === this.scenario.foreign;
    const number = this.#attempts.filter((a) => a.request === request).length + 1;
    const name = `${request.id} ${number}`;
    const attempt: Running = { name, request, isForeign, answers: [], state: "runs", step: undefined };
    this.#attempts.push(attempt);
    this.#run(attempt).then(
      () => {
        attempt.state = "ended";
      },
      (error: unknown) => {
        attempt.state = "ended";
        this.#note(attempt, { kind: "breakdown", what: String(error) });
      },
    );
  }

  #note({ isForeign }: Running, event: MessageEvent): void {
    (isForeign ? this.#histories.foreign : this.#histories.own).push(event);
  }

  async #run(attempt: Running): Promise<void> {
    let end: AttemptEnd;
    do {
      attempt.answers = [];
      end = await this.scenario.attempt(this.#viewOf(attempt), attempt.request);
    } while (end.again);
    const { sends, writes } = end;
    attempt.answers = [sends, ...writes];
    const there = () => [...this.#store.objects.keys()];
    const say = (label: string, event: () => MessageEvent) => {
      const act = () => {
        this.#note(attempt, event());
        return Promise.resolve();
      };
      return attempt.isForeign ? act() : this.#step(attempt, label, false, act);
    };
    const send = () => say("sends", () => ({ kind: "send", sends, writes }));
    const acknowledge = () => say("acknowledges", () => ({ kind: "acknowledge", there: there() }));
    await this.scenario.ending(send, acknowledge);
  }

  /** The store as one attempt sees it. */
  #viewOf(attempt: Running): ObjectStore {
    const store = this.#store;
    const seen = new Map<string, string>();
    return {
      stat: (path) =>
        this.#step(attempt, `stat ${path.name}`, false, async () => {
          const state = await store.stat(path);
          const found = state && { generation: state.generation, by: state.by };
          if (!seen.has(uriOf(path))) seen.set(uriOf(path), found?.generation ?? "0");
          return found;
        }),
      write: (path, data, options, signal) =>
        this.#step(attempt, `write ${path.name}`, true, async () => {
          const uri = uriOf(path);
          const before = store.objects.get(uri)?.generation ?? "0";
          const written = await store.write(path, data, options, signal);
          this.#note(attempt, { kind: "commit", uri, before, saw: seen.get(uri) ?? "nothing" });
          return written;
        }),
      read: (path) => unasked(path),
      open: (path) => unasked(path),
      download: (path) => unasked(path),
    };
  }

  #step<T>(attempt: Running, label: string, isWrite: boolean, act: () => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      const offer = (name: string) => {
        attempt.step = {
          label: name,
          isWrite,
          take: async () => {
            const doing = act();
            attempt.answers.push(`${label} ${await doing.then((answer) => JSON.stringify(answer), String)}`);
            resolve(doing);
          },
          takeUnheard: async () => {
            await act().catch(() => undefined);
            offer(`${label} once more`);
          },
        };
      };
      offer(label);
    });
  }
}

export const sendFirst: Ending = async (send, acknowledge) => {
  await send();
  await acknowledge();
};

function unasked(path: ObjectPath): Promise<never> {
  return Promise.reject(new Error(`nobody reads ${path.name} here`));
}
