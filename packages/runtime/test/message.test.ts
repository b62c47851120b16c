import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  childId,
  decodeMessage,
  elementOf,
  encodeMessage,
  type KlioMessage,
  KlioMessageSchema,
  receive,
  requestMessage,
  UndecodableError,
  Version,
} from "@klio/runtime/message";
import { describe, expect, it } from "vitest";

interface Vectors {
  readonly job: { readonly jobName: string; readonly gcpProject: string };
  readonly requests: readonly {
    readonly name: string;
    readonly element: string;
    readonly hex: string;
    readonly bottomUp?: boolean;
    readonly force?: boolean;
    readonly ping?: boolean;
    readonly version?: 1 | 2;
  }[];
  readonly undecodable: readonly { readonly name: string; readonly hex: string }[];
  readonly childIds: readonly {
    readonly parent: string;
    readonly job: string;
    readonly node: string;
    readonly tag: string;
    readonly index: number;
    readonly id: string;
  }[];
}

const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../spec/message-vectors.json"), "utf8"),
) as Vectors;
const klioOnly = { allowNonKlio: false, raw: false };

describe("the messages that ask for an element", () => {
  it.each(vectors.requests)("have Klio's bytes: $name", ({ element, hex, bottomUp, force, ping, version }) => {
    const message = requestMessage({
      element,
      force: force ?? false,
      ping: ping ?? false,
      ...(bottomUp === true ? { target: vectors.job } : {}),
      ...(version === undefined ? {} : { version }),
    });
    expect(Buffer.from(encodeMessage(message)).toString("hex")).toBe(hex);
    const decoded = decodeMessage(Buffer.from(hex, "hex"), klioOnly);
    expect(elementOf(decoded)).toBe(element);
    expect(receive(decoded, vectors.job).accepted).toBe(true);
  });
});

describe("bytes that are no KlioMessage", () => {
  it.each(vectors.undecodable)("are refused: $name", ({ hex }) => {
    expect(() => elementOf(decodeMessage(Buffer.from(hex, "hex"), klioOnly))).toThrow(UndecodableError);
  });

  it.each(["x1", "  ", "hello"])("are the element where the job allows it: %j", (text) => {
    const message = decodeMessage(Buffer.from(text), { allowNonKlio: true, raw: false });
    expect(elementOf(message)).toBe(text);
    expect(receive(message, vectors.job).accepted).toBe(true);
  });

  it("are the element when the publisher says so, even if they happen to decode", () => {
    const bytes = Buffer.from(vectors.requests[0]?.hex ?? "", "hex");
    expect(elementOf(decodeMessage(bytes, { allowNonKlio: true, raw: true }))).toBe(bytes.toString());
    expect(() => decodeMessage(bytes, { allowNonKlio: false, raw: true })).toThrow(UndecodableError);
  });
});

describe("versions", () => {
  it.each([
    ["V1 by its entity_id", { entityId: "x" }, Version.UNKNOWN, Version.V1, "x"],
    ["V2 by its element", { element: Buffer.from("x") }, Version.UNKNOWN, Version.V2, "x"],
    ["V1 as it says, its entity_id copied", { entityId: "x" }, Version.V1, Version.V1, "x"],
    ["V1 with both, as they are", { entityId: "x", element: Buffer.from("y") }, Version.V1, Version.V1, "y"],
  ] as const)("%s", (_, data, written, version, element) => {
    const bytes = toBinary(KlioMessageSchema, create(KlioMessageSchema, { version: written, data }));
    const message = decodeMessage(bytes, klioOnly);
    expect(message.version).toBe(version);
    expect(elementOf(message)).toBe(element);
  });

  it("keep fields that klio does not know", () => {
    const bytes = Buffer.concat([
      Buffer.from(vectors.requests[1]?.hex ?? "", "hex"),
      Buffer.from("7a0568656c6c6f", "hex"),
    ]);
    const again = Buffer.from(encodeMessage(decodeMessage(bytes, klioOnly)));
    expect(again.includes(Buffer.from("7a0568656c6c6f", "hex"))).toBe(true);
  });
});

describe("recipients", () => {
  const me = { jobName: "b", gcpProject: "p-a" };
  const other = { jobName: "a-b", gcpProject: "p" };
  const limited = (recipients: readonly (typeof me)[], triggerChildrenOf?: typeof me): KlioMessage =>
    create(KlioMessageSchema, {
      version: Version.V2,
      data: { element: Buffer.from("x") },
      metadata: {
        intendedRecipients: {
          recipients: {
            case: "limited",
            value: { recipients: [...recipients], ...(triggerChildrenOf === undefined ? {} : { triggerChildrenOf }) },
          },
        },
      },
    });

  it("decide: anyone, the jobs listed, nobody", () => {
    expect(receive(limited([me]), me).accepted).toBe(true);
    expect(receive(limited([other]), me).accepted).toBe(false); // "p-a-b" both, when joined by hyphens
    expect(receive(requestMessage({ element: "x" }), me).accepted).toBe(true);
    expect(receive(create(KlioMessageSchema, { version: Version.V2 }), me).accepted).toBe(false);
    const v1 = requestMessage({ element: "x", version: 1, target: other });
    expect(receive(v1, other).accepted).toBe(true);
    expect(receive(v1, me).accepted).toBe(false);
  });

  it("become anyone at the job whose children are to be triggered, and only there", () => {
    const message = limited([me, other], me);
    receive(message, other);
    expect(message.metadata?.intendedRecipients?.recipients.case).toBe("limited");
    receive(message, me);
    expect(message.metadata?.intendedRecipients?.recipients.case).toBe("anyone");
  });
});

describe("ids of outputs", () => {
  it.each(vectors.childIds)("are the hash of parent, job, node, tag and index", ({ id, ...of }) => {
    expect(childId(of.parent, of.job, of.node, of.tag, of.index)).toBe(id);
  });
});
