import type { Outcome, Session } from "../session/index.js";
import type { Published } from "./publish.js";

/** Outcomes after which the job is done with a message. */
const final = new Set(["processed", "passed-through", "skipped", "not-for-this-job", "duplicate", "dead-letter"]);

/** Collects what the session tells of a job's messages, from before they are published until they are done. */
export class OutcomeWatch {
  readonly #seen = new Map<string, Outcome>();
  #changed: () => void = () => undefined;

  static async start(session: Session, job: string): Promise<OutcomeWatch> {
    const watch = new OutcomeWatch();
    await session.watch(job, (outcome) => {
      if (!final.has(outcome.outcome)) return;
      watch.#seen.set(outcome.message_id, outcome);
      watch.#changed();
    });
    session.onGone(() => {
      watch.#changed();
    });
    return watch;
  }

  /** Resolves with the outcomes that came, when all have or `signal` aborts. `tell` is called for each as it comes. */
  async until(published: readonly Published[], signal: AbortSignal, tell: (o: Outcome) => void): Promise<Outcome[]> {
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
