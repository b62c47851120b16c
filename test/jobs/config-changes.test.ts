import { loadConfig } from "@klio/config";
import { expect, it } from "vitest";
import { configChanges } from "../../src/jobs/index.js";

function configOf(ownKeys: string, ping: boolean, count: number) {
  const text = `
job_name: my-job
pipeline_options: { project: my-project }
job_config:
  ${ownKeys}
  workers: { count: ${count} }
  events:
    inputs: [{ type: pubsub, topic: projects/my-project/topics/my-job-input }]
  data:
    inputs: [{ type: gcs, location: gs://my-input, ping: ${ping} }]
`;
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  return config;
}

it("keys of the job's own are reloaded, whatever their names are; what is looked at before workers are restarts", () => {
  const changes = configChanges(configOf("probe: { ping: 1 }", false, 1), configOf("probe: { ping: 2 }", true, 2));
  expect(changes).toEqual([
    { key: "job_config.data.inputs.0.ping", before: false, after: true, effect: "restart" },
    { key: "job_config.probe.ping", before: 1, after: 2, effect: "reload" },
    { key: "job_config.workers.count", before: 1, after: 2, effect: "restart" },
  ]);
});
