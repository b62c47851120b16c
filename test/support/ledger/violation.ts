/** The invariants, in the words of the design: what must hold whatever goes wrong. */
export const rules = {
  I1: "every acknowledged input has its outputs and output messages, or a dead letter",
  I2: "the acknowledgement comes after both",
  I3: "no partial object is ever visible",
  I4: "one committed output per object and request, however often it was delivered",
  I5: "repeated output messages carry the same id",
  I6: "per ordering key, outputs follow inputs",
  I7: "a poison message has exactly N charged attempts, then a dead letter",
  I8: "after a drain nothing is in flight, no child, port or temporary file is left, and the exit code is 0",
  I9: "what is outstanding never exceeds the bound, in count and in bytes",
} as const;

export type Rule = keyof typeof rules;

/** One broken promise. */
export interface Violation {
  readonly rule: Rule;
  /** Empty when it is no single message's. */
  readonly messageId: string;
  readonly what: string;
}
