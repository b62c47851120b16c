import { decodeMessage, elementOf, klioIdAttribute } from "../message/index.js";
import type { Described } from "./described.js";
import type { OutgoingMessage } from "../supervisor/output.js";

export function describeMessage({ data, attributes, orderingKey }: OutgoingMessage): Described {
  const message = decodeMessage(data, { allowNonKlio: false, raw: false });
  const payload = message.data?.payload ?? new Uint8Array();
  const text = Buffer.from(payload).toString();
  return {
    element: elementOf(message),
    payload,
    text,
    klioId: attributes[klioIdAttribute] ?? "",
    attributes,
    orderingKey,
  };
}
