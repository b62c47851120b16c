import { setTimeout as sleep } from "node:timers/promises";
import type { PublisherClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { messageOf } from "../error-message.js";
import { Status, statusOf, triedOnce } from "./clients.js";

const againMs = 5_000;

/** Waits until a topic exists, telling each time what is missing and how to make it. Ends early when `signal` aborts. */
export async function untilTopicExists(
  client: PublisherClient,
  topic: string,
  signal: AbortSignal,
  tell: (message: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await client.getTopic({ topic }, triedOnce());
      return;
    } catch (error) {
      const status = statusOf(error);
      if (status === Status.permissionDenied) return; // it may exist; publishing will tell
      const [, project = "", , id = ""] = topic.split("/");
      const commands = [`topics create ${id}`, `subscriptions create ${id} --topic ${id}`];
      const create = `Create it, and what keeps its messages: ${commands.map((c) => `gcloud pubsub ${c} --project ${project}`).join(" && ")}`;
      tell(
        status === Status.notFound
          ? `not ready: the dead-letter topic ${topic} does not exist. ${create}`
          : `not ready: ${topic}: ${messageOf(error)}`,
      );
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
