import { create } from "@bufbuild/protobuf";
import { type KlioMessage, KlioMessageSchema, Version } from "../../gen/klio_pb.js";
import { noBytes } from "../protocol/wire.js";
import { readMessage } from "./codec.js";

/** The bytes are no KlioMessage that klio can process. */
export class UndecodableError extends Error {
  override readonly name = "UndecodableError";
  readonly code = "UNDECODABLE";
}

export interface DecodeOptions {
  /** Take bytes that are no KlioMessage as the element itself (`allow_non_klio_messages`). */
  readonly allowNonKlio: boolean;
  /** The publisher said so by the attribute `klio-encoding: raw`; nothing is guessed then. */
  readonly raw: boolean;
}

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Attribute that marks a message as no KlioMessage. */
export const encodingAttribute = "klio-encoding";

/**
 * Decodes and brings to one form: `data.element` holds the element of V1 and V2 alike, `version` is V1 or V2.
 * Throws {@link UndecodableError}.
 */
export function decodeMessage(bytes: Uint8Array, options: DecodeOptions): KlioMessage {
  if (options.raw) {
    if (!options.allowNonKlio) {
      throw new UndecodableError("the message is not a KlioMessage, and job_config.allow_non_klio_messages is not set");
    }
    return rawMessage(bytes);
  }
  const message = tryDecode(bytes);
  if (message !== undefined && hasElement(message)) return normalise(message);
  if (options.allowNonKlio) return rawMessage(bytes);
  const why = message === undefined ? "the bytes are no protocol buffer" : "it names no element";
  throw new UndecodableError(`the message is not a KlioMessage (${why})`);
}

/** The element as text. Throws {@link UndecodableError} when it is not UTF-8 or empty. */
export function elementOf(message: KlioMessage): string {
  const bytes = message.data?.element ?? noBytes;
  try {
    const text = strictText.decode(bytes);
    if (text !== "") return text;
  } catch {
    throw new UndecodableError("the element is not UTF-8 text");
  }
  throw new UndecodableError("the element is empty");
}

function tryDecode(bytes: Uint8Array): KlioMessage | undefined {
  try {
    return readMessage(bytes);
  } catch {
    return undefined;
  }
}

// Some plain text happens to decode as fields nobody knows; only what names an element is a KlioMessage.
function hasElement(message: KlioMessage): boolean {
  return (message.data?.element.length ?? 0) > 0 || (message.data?.entityId ?? "") !== "";
}

function normalise(message: KlioMessage): KlioMessage {
  const data = message.data;
  if (data === undefined) return message;
  if (message.version === Version.UNKNOWN) message.version = data.entityId === "" ? Version.V2 : Version.V1;
  if (message.version === Version.V1 && data.element.length === 0) data.element = Buffer.from(data.entityId);
  return message;
}

function rawMessage(bytes: Uint8Array): KlioMessage {
  return create(KlioMessageSchema, {
    version: Version.V2,
    data: { element: bytes },
    metadata: { intendedRecipients: { recipients: { case: "anyone", value: {} } } },
  });
}
