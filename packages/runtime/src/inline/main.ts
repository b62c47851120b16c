import type { EffectiveConfig } from "@klio/config/effective";
import { realClock } from "../clock.js";
import { layOut } from "../engine/graph.js";
import type { Limits } from "../limits.js";
import type { StartWorker } from "../supervisor/worker.js";
import { loadJob } from "../worker/load-job.js";
import { Performer } from "../worker/performer.js";
import { makeStore } from "../worker/store.js";
import { InlineWorker } from "./worker.js";

/** How long a call whose time is up may take to notice, in milliseconds, before it is given up. */
const abandonAfterMs = 2_000;

/** Runs a built job's code in this process. */
export function startInline(limits: Limits): StartWorker {
  process.setSourceMapsEnabled(true); // as workers are started with
  return (options, events) =>
    new InlineWorker(options, events, async ({ directory, configJson }) => {
      const config = JSON.parse(configJson) as EffectiveConfig;
      const job = await loadJob(directory);
      const graph = await layOut(job, config);
      const store = makeStore(config.pipeline_options.project);
      return Performer.make({ job, graph, config, store, clock: realClock, limits, abandonAfterMs });
    });
}
