import type { Item } from "./item.js";

/** An item that ends here on purpose: counted, logged, acknowledged. */
export interface Skip {
  readonly kind: "klio.skip";
  readonly reason: string;
}

/** An output under a name of its own, which `branch` picks up. */
export interface Tagged<Tag extends string, Payload> {
  readonly kind: "klio.tagged";
  readonly tag: Tag;
  /** An item, or the payload of one. */
  readonly value: Item<Payload> | Payload;
}

/** Ends the item without an output. `reason` is logged and shown with the message's outcome, `skipped` when nothing else left the job. */
export function skip(reason: string): Skip {
  return { kind: "klio.skip", reason };
}

/** Sends a payload, or an item, out under `name`: `return tag("loud", spectrum)`. */
export function tag<const Tag extends string, Value>(
  name: Tag,
  value: Value,
): Tagged<Tag, Value extends Item<infer Payload> ? Payload : Value> {
  return { kind: "klio.tagged", tag: name, value: value as never };
}

/** The output of transforms that do not tag. */
export const mainTag = "main";

/** What a transform may return or yield. */
export type Outcome = Item<unknown> | Skip | Tagged<string, unknown>;

/** The outputs of a transform by tag, as far as its return type tells. */
export type OutputsOf<Result> = {
  readonly [Tag in TagOf<Result>]: PayloadOf<Result, Tag>;
};

type TagOf<Result> =
  Result extends Tagged<infer Tag, unknown> ? Tag : Result extends Item<unknown> ? typeof mainTag : never;

type PayloadOf<Result, Tag> =
  Result extends Tagged<infer T, infer Payload>
    ? T extends Tag
      ? Payload
      : never
    : Result extends Item<infer Payload>
      ? Tag extends typeof mainTag
        ? Payload
        : never
      : never;
