import { crc32c } from "@node-rs/crc32";
import { childId } from "@klio/runtime/message";
import { contentOf, kindOf } from "../fixtures/jobs/faults/src/kinds.js";
import type { Expectation } from "./ledger/entry.js";

/** What a job makes of an element of the request `klioId`. */
export type Expect = (element: string, klioId: string) => Omit<Expectation, "passThrough">;

/** The fault job's, by the element's name. */
export const faultJob: Expect = (element, klioId) => {
  const { writes, outputs, poison, hopeless } = kindOf(element);
  const content = contentOf(element);
  return {
    objects: writes ? [{ name: `job/${element}`, size: content.length, crc32c: checksum(content) }] : [],
    outputs: Array.from({ length: outputs }, (_, i) => childId(klioId, "fault-job", "work", "main", i)),
    ...(poison === undefined ? {} : { poison }),
    ...(hopeless ? { hopeless } : {}),
  };
};

/** CRC-32C as Cloud Storage writes it: base64, big-endian. */
function checksum(data: Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32c(data));
  return bytes.toString("base64");
}
