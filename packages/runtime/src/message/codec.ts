/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- proto3's enumerations are open: any number may come */
/* eslint-disable @typescript-eslint/no-deprecated -- what klio.proto calls deprecated travels on all the same */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type Data,
  type JobInput,
  type KlioJob,
  type KlioJobAuditLogItem,
  type KlioMessage,
  KlioMessageSchema,
  type Limited,
  type Metadata,
  type Recipients,
  Version,
} from "../../gen/klio_pb.js";
import { noBytes, WireReader, WireWriter } from "../protocol/wire.js";

// klio.proto by hand, field by field: see wire.ts.

/** Throws when the bytes are no KlioMessage. */
export function readMessage(bytes: Uint8Array): KlioMessage {
  const reader = new WireReader(asBuffer(bytes));
  const message = klioMessage(reader);
  return reader.gaveUp ? fromBinary(KlioMessageSchema, bytes) : message;
}

/** A Buffer, because Google's client takes any other Uint8Array byte by byte. */
export function writeMessage(message: KlioMessage): Buffer {
  const { data, metadata } = message;
  const bytes = data === undefined ? 0 : data.payload.length + data.element.length + data.entityId.length;
  const writer = new WireWriter(bytes + 100 * (metadata?.jobAuditLog.length ?? 0));
  writer.message(message, writeKlioMessage);
  return writer.gaveUp ? asBuffer(toBinary(KlioMessageSchema, message)) : writer.finish();
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function klioMessage(reader: WireReader): KlioMessage {
  const message: KlioMessage = { $typeName: "KlioMessage", version: Version.UNKNOWN };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10 && message.metadata === undefined) message.metadata = reader.nested(metadata);
    else if (tag === 18 && message.data === undefined) message.data = reader.nested(data);
    else if (tag === 24) message.version = reader.int32();
    else reader.giveUp();
  }
  return message;
}

function writeKlioMessage(writer: WireWriter, message: KlioMessage): void {
  writer.uint(24, message.version);
  writer.nested(18, message.data, writeData);
  writer.nested(10, message.metadata, writeMetadata);
}

function metadata(reader: WireReader): Metadata {
  const made: Metadata = {
    $typeName: "Metadata",
    downstream: [],
    visited: [],
    jobAuditLog: [],
    force: false,
    ping: false,
  };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.downstream.push(reader.nested(klioJob));
    else if (tag === 18) made.visited.push(reader.nested(klioJob));
    else if (tag === 26) made.jobAuditLog.push(reader.nested(auditLogItem));
    else if (tag === 32) made.force = reader.bool();
    else if (tag === 40) made.ping = reader.bool();
    else if (tag === 50 && made.intendedRecipients === undefined) made.intendedRecipients = reader.nested(recipients);
    else reader.giveUp();
  }
  return made;
}

function writeMetadata(writer: WireWriter, value: Metadata): void {
  writer.nested(50, value.intendedRecipients, writeRecipients);
  writer.bool(40, value.ping);
  writer.bool(32, value.force);
  writer.list(26, value.jobAuditLog, writeAuditLogItem);
  writer.list(18, value.visited, writeKlioJob);
  writer.list(10, value.downstream, writeKlioJob);
}

function recipients(reader: WireReader): Recipients {
  const made: Recipients = { $typeName: "Recipients", recipients: { case: undefined } };
  while (reader.more) {
    const tag = reader.uint32();
    const first = made.recipients.case === undefined;
    if (tag === 10 && first) made.recipients = { case: "anyone", value: reader.nested(anyone) };
    else if (tag === 18 && first) made.recipients = { case: "limited", value: reader.nested(limited) };
    else reader.giveUp();
  }
  return made;
}

function writeRecipients(writer: WireWriter, { recipients: value }: Recipients): void {
  if (value.case === "anyone") writer.nested(10, value.value, () => undefined);
  else if (value.case === "limited") writer.nested(18, value.value, writeLimited);
}

function anyone(reader: WireReader): { $typeName: "Anyone" } {
  if (reader.more) reader.giveUp();
  return { $typeName: "Anyone" };
}

function limited(reader: WireReader): Limited {
  const made: Limited = { $typeName: "Limited", recipients: [] };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.recipients.push(reader.nested(klioJob));
    else if (tag === 18 && made.triggerChildrenOf === undefined) made.triggerChildrenOf = reader.nested(klioJob);
    else reader.giveUp();
  }
  return made;
}

function writeLimited(writer: WireWriter, value: Limited): void {
  writer.nested(18, value.triggerChildrenOf, writeKlioJob);
  writer.list(10, value.recipients, writeKlioJob);
}

function data(reader: WireReader): Data {
  const made: Data = { $typeName: "Data", entityId: "", payload: noBytes, element: noBytes };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.entityId = reader.text();
    else if (tag === 18) made.payload = reader.data();
    else if (tag === 26) made.element = reader.data();
    else reader.giveUp();
  }
  return made;
}

function writeData(writer: WireWriter, value: Data): void {
  writer.data(26, value.element);
  writer.data(18, value.payload);
  writer.text(10, value.entityId);
}

function klioJob(reader: WireReader): KlioJob {
  const made: KlioJob = { $typeName: "KlioJob", jobName: "", gcpProject: "", inputs: [] };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.jobName = reader.text();
    else if (tag === 18) made.gcpProject = reader.text();
    else if (tag === 26) made.inputs.push(reader.nested(jobInput));
    else reader.giveUp();
  }
  return made;
}

function writeKlioJob(writer: WireWriter, value: KlioJob): void {
  writer.list(26, value.inputs, writeJobInput);
  writer.text(18, value.gcpProject);
  writer.text(10, value.jobName);
}

function jobInput(reader: WireReader): JobInput {
  const made: JobInput = { $typeName: "JobInput", topic: "", subscription: "", dataLocation: "" };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10) made.topic = reader.text();
    else if (tag === 18) made.subscription = reader.text();
    else if (tag === 26) made.dataLocation = reader.text();
    else reader.giveUp();
  }
  return made;
}

function writeJobInput(writer: WireWriter, value: JobInput): void {
  writer.text(26, value.dataLocation);
  writer.text(18, value.subscription);
  writer.text(10, value.topic);
}

function auditLogItem(reader: WireReader): KlioJobAuditLogItem {
  const made: KlioJobAuditLogItem = { $typeName: "KlioJobAuditLogItem" };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 10 && made.timestamp === undefined) made.timestamp = reader.nested(timestamp);
    else if (tag === 18 && made.klioJob === undefined) made.klioJob = reader.nested(klioJob);
    else reader.giveUp();
  }
  return made;
}

function writeAuditLogItem(writer: WireWriter, value: KlioJobAuditLogItem): void {
  writer.nested(18, value.klioJob, writeKlioJob);
  writer.nested(10, value.timestamp, writeTimestamp);
}

function timestamp(reader: WireReader): Timestamp {
  const made: Timestamp = { $typeName: "google.protobuf.Timestamp", seconds: 0n, nanos: 0 };
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === 8) made.seconds = reader.uint64();
    else if (tag === 16) made.nanos = reader.int32();
    else reader.giveUp();
  }
  return made;
}

function writeTimestamp(writer: WireWriter, value: Timestamp): void {
  writer.uint(16, value.nanos);
  writer.uint64(8, value.seconds);
}
