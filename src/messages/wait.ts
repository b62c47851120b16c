import { KlioError } from "../errors.js";
import type { Outcome, Session } from "../session/index.js";
import type { Published } from "./publish.js";

/** Outcomes after which the job is done with a message. */
const final = new Set(["processed", "passed-through", "skipped", "not-for-this-job", "duplicate", "dead-letter"]);

/**
 * Collects what the session tells of a job's messages, from before they are published until they are done. One that was sent
 * upstream for its input is done when it has come back, or when it became a dead letter on the way.
 */
export class OutcomeWatch {
  readonly #seen = new Map<string, Outcome>();
  /** Elements that were sent upstream, and the id of the message they were sent with. */
  readonly #away = new Map<string, string>();
  #changed: () => void = () => undefined;
  #gone = false;

  static async start(session: Session, job: string): Promise<OutcomeWatch> {
    const watch = new OutcomeWatch();
    await session.watch("*", (outcome) => {
      watch.#take(outcome, job);
      watch.#changed();
    });
    session.onGone(() => {
      watch.#gone = true;
      watch.#changed();
    });
    return watch;
  }

  #take(outcome: Outcome, job: string): void {
    const element = String(outcome["element"]);
    const sent = this.#away.get(element);
    if (outcome.job === job && outcome.outcome === "sent-upstream") this.#away.set(element, outcome.message_id);
    if (!final.has(outcome.outcome)) return;
    if (outcome.job === job) this.#seen.set(outcome.message_id, outcome);
    if (sent === undefined || (outcome.job !== job && outcome.outcome !== "dead-letter")) return;
    this.#seen.set(sent, { ...outcome, message_id: sent });
    this.#away.delete(element);
  }

  /**
   * Resolves with the outcomes that came, when all have or the time is up. `tell` is called for each as it comes.
   * Throws a KlioError when the session goes away.
   */
  async until(published: readonly Published[], seconds: number, tell: (o: Outcome) => void): Promise<Outcome[]> {
    const time = new AbortController();
    const timer = setTimeout(() => {
      time.abort();
    }, seconds * 1_000);
    try {
      return await this.#collect(published, time.signal, tell);
    } finally {
      clearTimeout(timer);
    }
  }

  async #collect(published: readonly Published[], signal: AbortSignal, tell: (o: Outcome) => void): Promise<Outcome[]> {
    const open = new Set(published.map((p) => p.message_id));
    const outcomes: Outcome[] = [];
    for (;;) {
      for (const id of open) {
        const outcome = this.#seen.get(id);
        if (outcome === undefined) continue;
        open.delete(id);
        outcomes.push(outcome);
        tell(outcome);
      }
      if (open.size === 0 || signal.aborted) return outcomes;
      if (this.#gone) {
        const ids = published.filter((p) => open.has(p.message_id)).map((p) => p.entity_id);
        throw new KlioError(
          "WAIT_SESSION_GONE",
          `the local session ended before the job was done with: ${ids.join(", ")}`,
          {
            hint: "Its messages wait for its next start: klio job run --direct-runner",
            data: { outcomes, open: ids },
          },
        );
      }
      await this.#change(signal);
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#changed = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
