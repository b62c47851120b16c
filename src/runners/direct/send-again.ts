import { openPubSub } from "../../cloud/index.js";
import type { LoadedJob } from "../../jobs/index.js";
import { checkPublishOptions, publishAll } from "../../messages/index.js";

/** A message that a job has dealt with. */
export interface DealtWith {
  readonly element: string;
  /** Name of the event input it came from. */
  readonly input: string;
}

/** Sends an element once more to where it came from, forced. Resolves to what is to be told. */
export async function sendAgain({ element, input }: DealtWith, job: LoadedJob, pubsubAddress: string): Promise<string> {
  const options = { force: true, ping: false, topDown: false, bottomUp: false, nonKlio: false, input };
  const topic = checkPublishOptions(options, job.config);
  const pubsub = await openPubSub(pubsubAddress);
  try {
    const { failed } = await publishAll([element], options, job.config, pubsub, topic);
    const [failure] = failed;
    return failure === undefined ? `sent again, forced: ${element}` : `${element}: ${failure.error}`;
  } finally {
    await pubsub.close();
  }
}
