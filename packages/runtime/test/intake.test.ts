import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { loadConfig } from "@klio/config";
import { describe, expect, it } from "vitest";
import { deadLetter } from "../src/supervisor/dead-letters.js";
import { takeIn } from "../src/supervisor/intake.js";
import type { Delivery } from "../src/supervisor/source.js";

const me = { jobName: "my-job", gcpProject: "my-proj-123" };

function configWith(data: string, more = "") {
  const { config } = loadConfig({
    file: "klio-job.yaml",
    text: `job_name: my-job
pipeline_options: {project: my-proj-123}
job_config:
  events: {inputs: [{type: pubsub, topic: projects/my-proj-123/topics/songs}]}
  data: {inputs: [{type: gcs, location: gs://bucket${data}}]}
  ${more}
`,
  });
  if (config === undefined) throw new Error("the configuration is wrong");
  return config;
}

function delivery(data: Uint8Array, attributes: Record<string, string> = {}): Delivery {
  const none = () => Promise.resolve();
  const nothing = () => undefined;
  const source = {
    start: nothing,
    pause: nothing,
    resume: nothing,
    stopPulling: () => Promise.resolve(),
    close: nothing,
    acknowledge: none,
    giveBack: none,
    letGo: nothing,
  };
  const lease = { source, ackId: "1", confirmedUntil: 0, lost: false };
  return { lease, input: "pubsub0", messageId: "77", data, attributes, orderingKey: "", publishTime: 1 };
}

const request = (options: Partial<Parameters<typeof requestMessage>[0]> = {}) =>
  encodeMessage(requestMessage({ element: "x", ...options }));

describe("a received message", () => {
  it.each([
    ["is processed", request(), configWith(""), "process"],
    ["passes when it is a ping, whatever else it says", request({ ping: true, force: true }), configWith(""), "pass"],
    ["passes when the job pings everything", request(), configWith(", ping: true"), "pass"],
    [
      "is dropped when it is for others",
      request({ target: { jobName: "b", gcpProject: "p" } }),
      configWith(""),
      "drop",
    ],
    ["is undecodable when it is", Buffer.from("text"), configWith(""), "undecodable"],
    [
      "may be anything where the job allows it",
      Buffer.from("text"),
      configWith("", "allow_non_klio_messages: true"),
      "process",
    ],
  ] as const)("%s", (_, data, config, decision) => {
    expect(takeIn(delivery(data), { id: 1n, now: 0 }, config, me).decision).toBe(decision);
  });

  it("has the id it carries, else the one Pub/Sub gave it", () => {
    expect(takeIn(delivery(request()), { id: 1n, now: 0 }, configWith(""), me).work.klioId).toBe("77");
    expect(takeIn(delivery(request(), { "klio-id": "own" }), { id: 1n, now: 0 }, configWith(""), me).work.klioId).toBe(
      "own",
    );
  });

  it("is noted in the audit log when it is taken", () => {
    const { message } = takeIn(delivery(request()), { id: 1n, now: 0 }, configWith(""), me).work;
    expect(message.metadata?.jobAuditLog).toMatchObject([{ klioJob: me }]);
  });
});

describe("a dead letter", () => {
  it("keeps bytes and attributes, and never exceeds what attributes may hold", () => {
    const own = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`a${i}`, "v"]));
    const { work } = takeIn(delivery(Buffer.from("text"), own), { id: 1n, now: 0 }, configWith(""), me);
    const reason = { code: "ERROR", message: "é".repeat(5_000), node: "work" };
    const letter = deadLetter(work, reason, "my-job", "projects/p/subscriptions/s");
    expect(Buffer.from(letter.data).toString()).toBe("text");
    expect(Object.keys(letter.attributes).length).toBeLessThanOrEqual(100);
    const text = letter.attributes["klio-dead-letter-reason"] ?? "";
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1_024);
    expect(text.endsWith("é…")).toBe(true);
    expect(letter.attributes["klio-id"]).toBe("77");
  });
});
