import { invalidArgument } from "../errors.js";

// Requirements for labels: https://cloud.google.com/pubsub/docs/create-topic-label#requirements
const maxLabels = 64;
const key = /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u;
const value = /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u;

/** Throws INVALID_ARGUMENT. */
export function checkLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  if (entries.length > maxLabels) throw invalidArgument(`there are at most ${maxLabels} labels, not ${entries.length}`);
  for (const [k, v] of entries) {
    if (!key.test(k)) {
      throw invalidArgument(
        `label key "${k.slice(0, 80)}": 1 to 63 lower-case letters, digits, _ and -, a letter first`,
      );
    }
    if (!value.test(v)) {
      throw invalidArgument(`label "${k}": a value has at most 63 lower-case letters, digits, _ and -`);
    }
  }
}
