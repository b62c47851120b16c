import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatDiagnostic, loadConfig, nearest } from "@klio/config";
import { describe, expect, it } from "vitest";

const good = `job_name: my-job
pipeline_options:
  project: my-proj-123
job_config:
  model: large
  events:
    inputs:
      - type: pubsub
        topic: projects/my-proj-123/topics/songs
    outputs:
      - {type: pubsub, topic: projects/my-proj-123/topics/out}
  data:
    inputs:
      - {type: GCS, data_location: gs://my-input/my-job, file_suffix: .wav}
`;

const vectors = JSON.parse(readFileSync(join(import.meta.dirname, "../../../spec/config-vectors.json"), "utf8")) as {
  readonly valid: readonly { readonly name: string; readonly yaml: string }[];
  readonly invalid: readonly { readonly name: string; readonly code: string; readonly yaml: string }[];
};

const load = (text: string, more: Partial<Parameters<typeof loadConfig>[0]> = {}) =>
  loadConfig({ file: "klio-job.yaml", text, ...more });

describe("a right configuration", () => {
  it.each(vectors.valid)("is accepted: $name", ({ yaml }) => {
    expect(load(yaml).diagnostics).toEqual([]);
  });

  it("is resolved with every default", () => {
    const { config, diagnostics } = load(good);
    expect(diagnostics).toEqual([]);
    expect(config).toMatchInlineSnapshot(`
      {
        "job_config": {
          "allow_non_klio_messages": false,
          "data": {
            "inputs": [
              {
                "file_suffix": ".wav",
                "location": "gs://my-input/my-job",
                "name": "gcs0",
                "ping": false,
                "skip_klio_existence_check": false,
                "type": "gcs",
              },
            ],
            "outputs": [],
          },
          "delivery": {
            "ack_deadline_ms": 60000,
            "attempts": 5,
            "dead_letter": "projects/my-proj-123/topics/my-job-dead-letter",
            "grace_period_ms": 30000,
            "max_outstanding_bytes": 268435456,
            "max_outstanding_messages": 0,
            "max_retry_delay_ms": 60000,
            "pause_after": 20,
            "retry_delay_ms": 1000,
            "timeout_ms": 0,
          },
          "dependencies": [],
          "events": {
            "inputs": [
              {
                "name": "pubsub0",
                "subscription": "projects/my-proj-123/subscriptions/songs-my-job",
                "topic": "projects/my-proj-123/topics/songs",
                "type": "pubsub",
              },
            ],
            "outputs": [
              {
                "name": "pubsub0",
                "skip_klio_write": false,
                "topic": "projects/my-proj-123/topics/out",
                "type": "pubsub",
              },
            ],
          },
          "metrics_logger": {
            "level": "debug",
            "timer_unit_ns": 1,
          },
          "user": {
            "model": "large",
          },
          "workers": {
            "concurrency": 4,
            "count": 0,
            "limits": {},
            "memory_bytes": 0,
            "mode": "process",
          },
        },
        "job_name": "my-job",
        "pipeline_options": {
          "project": "my-proj-123",
          "runner": "DataflowRunner",
          "streaming": true,
        },
        "version": 2,
      }
    `);
  });

  it("takes template values, typed when plain and as text when quoted", () => {
    const text = good.replace("model: large", () => 'model: ${m}\n  quoted: "$m"\n  price: $$5\n  ends: cost$');
    const { config } = load(text, { templates: new Map([["m", "5"]]) });
    expect(config?.job_config.user).toEqual({ model: 5, quoted: "5", price: "$5", ends: "cost$" });
  });

  it("takes overrides by position, by name and by Klio's numbering, with their types", () => {
    const { config } = load(good, {
      overrides: [
        ["job_config.events.inputs.pubsub0.topic", "projects/my-proj-123/topics/other"],
        ["job_config.data.inputs.0.ping", "true"],
        ["job_config.delivery.attempts", "2"],
        ["job_config.note", "2021-01-10 00:00:00 a=b"],
      ],
    });
    expect(config?.job_config.events.inputs[0]).toMatchObject({ topic: "projects/my-proj-123/topics/other" });
    expect(config?.job_config.data.inputs[0]?.ping).toBe(true);
    expect(config?.job_config.delivery.attempts).toBe(2);
    expect(config?.job_config.user["note"]).toBe("2021-01-10 00:00:00 a=b");
  });
});

describe("a wrong configuration", () => {
  it("has all its mistakes reported at once, each with line, column and the nearest right name", () => {
    const text = good
      .replace("job_name: my-job", "job_name: My Job")
      .replace("topic: projects/my-proj-123/topics/songs", "topik: projects/my-proj-123/topics/songs")
      .replace("file_suffix: .wav", "ping: perhaps");
    const { config, diagnostics } = load(text);
    expect(config).toBeUndefined();
    expect(diagnostics.map(formatDiagnostic).join("\n")).toMatchInlineSnapshot(`
      "klio-job.yaml:1:11: error CONFIG_VALUE: job_name has not the right form: "My Job"
          Name of the job: lower-case letters, digits and hyphens, a letter first, at most 63.
      klio-job.yaml:8:9: error CONFIG_NO_SUBSCRIPTION: a pubsub input needs a topic, a subscription, or both
      klio-job.yaml:9:9: error CONFIG_UNKNOWN_KEY: unknown key "topik" in job_config.events.inputs.0
          Did you mean "topic"?
      klio-job.yaml:14:64: error CONFIG_TYPE: job_config.data.inputs.0.ping must be true or false, not "perhaps""
    `);
  });

  it.each(vectors.invalid)("has a code: $name, $code", ({ code, yaml }) => {
    const { config, diagnostics } = load(yaml);
    expect(config).toBeUndefined();
    expect(diagnostics.map((d) => d.code)).toContain(code);
    for (const d of diagnostics) expect(d.line).toBeGreaterThan(0);
  });

  it.each(["*.wav", "a # b", "!foo bar", '"unclosed', "&x", "2021-01-10 00:00:00", "- a"])(
    "takes an override's text as it stands: %s",
    (text) => {
      const { config } = load(good, { overrides: [["job_config.pattern", text]] });
      expect(config?.job_config.user["pattern"]).toBe(text);
    },
  );

  it("cannot be made to reach beyond itself by an override", () => {
    load(good, { overrides: [["__proto__.polluted", "1"]] });
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("reports an override that leads nowhere", () => {
    const { diagnostics } = load(good, { overrides: [["job_config.events.inputs.pubsub7.topic", "x"]] });
    expect(diagnostics[0]?.message).toContain('there is no "pubsub7" in job_config.events.inputs');
  });

  it("warns of a free key that is nearly a known one, and passes it on", () => {
    const { config, diagnostics } = load(good.replace("model: large", "delivry: {attempts: 3}"));
    expect(config?.job_config.user).toHaveProperty("delivry");
    expect(diagnostics).toMatchObject([{ severity: "warning", code: "CONFIG_NEAR_MISS", line: 5 }]);
  });

  it("is refused fast when its aliases unfold without end", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (let i = 1; i < 12; i += 1) {
      const [name, before] = [String.fromCharCode(97 + i), String.fromCharCode(96 + i)];
      bomb.push(`${name}: &${name} [${Array(9).fill(`*${before}`).join(",")}]`);
    }
    const { config, diagnostics } = load(bomb.join("\n"));
    expect(config).toBeUndefined();
    expect(diagnostics[0]?.code).toBe("CONFIG_SYNTAX");
  });

  it.each(["", "- a list", "just text", "job_config: text", "job_config: {events: 5, data: [1]}"])(
    "never throws: %j",
    (text) => {
      expect(load(text).config).toBeUndefined();
    },
  );
});

describe("the nearest name", () => {
  it("is found when it is near, and not when nothing is", () => {
    expect(nearest("subscripton", ["topic", "subscription"])).toBe("subscription");
    expect(nearest("zzz", ["topic", "subscription"])).toBeUndefined();
  });
});
