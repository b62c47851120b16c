import type { OutgoingMessage, Output } from "../supervisor/output.js";
import { RejectedError } from "../supervisor/output.js";
import type { Work } from "../supervisor/work.js";
import type { DeadLetterRecord } from "./records.js";

/** A text file as an event output: the element of a message is a line, kept with the work until that is done. */
export class FileLines implements Output {
  constructor(readonly name: string) {}

  publish(message: OutgoingMessage, work: Work): Promise<void> {
    if (/[\r\n]/.test(message.element)) {
      return Promise.reject(new RejectedError("an element with a line break cannot be a line of a text file"));
    }
    work.lines.push([this.name, message.element]);
    return Promise.resolve();
  }

  close(): void {
    // nothing is open
  }
}

/** A file of dead letters: kept with the work, written when the run has finished. */
export function deadLetterRecord(work: Work, reason: Pick<DeadLetterRecord, "reason" | "code" | "node">) {
  return {
    element: work.element,
    place: work.delivery.messageId,
    ...reason,
    attempts: work.charged,
    klio_id: work.klioId,
    ...(work.element === "" ? { bytes: Buffer.from(work.delivery.data).toString("base64") } : {}),
  };
}
