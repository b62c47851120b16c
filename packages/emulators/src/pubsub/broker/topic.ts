import type { Topic as TopicResource } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { MessageLog } from "../log/message-log.js";
import { milliseconds } from "./policies.js";

/** A topic and its log. The log outlives a deleted topic for as long as a subscription or snapshot has messages of it. */
export class Topic {
  deleted = false;
  #retained = 0;

  constructor(
    public resource: TopicResource,
    readonly uid: string,
    readonly log: MessageLog,
  ) {}

  get name(): string {
    return this.resource.name;
  }

  /** How long every message is kept for subscriptions to seek to, in milliseconds. Undefined: not at all. */
  get retentionMs(): number | undefined {
    return milliseconds(this.resource.messageRetentionDuration);
  }

  /** The position of the first message published at `time` or later; `time` only grows from call to call. */
  retained(time: number): number {
    this.#retained = this.log.positionAt(time, this.#retained);
    return this.#retained;
  }

  /** The time for the next message: the clock's, but never less than the one before. */
  publishTime(now: number): number {
    return Math.max(this.log.lastTime, now);
  }
}
