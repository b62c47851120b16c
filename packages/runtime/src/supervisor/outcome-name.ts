/** What can become of a message. */
export type OutcomeName =
  | "processed"
  | "passed-through"
  | "skipped"
  | "not-for-this-job"
  | "duplicate"
  | "sent-upstream"
  | "dead-letter"
  | "given-back";
