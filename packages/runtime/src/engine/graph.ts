import { createHash } from "node:crypto";
import type { EffectiveConfig } from "@klio/config/effective";
import { mainTag } from "../api/outcome.js";
import type { Job } from "../api/define-job.js";
import { messageOf } from "../error-message.js";
import { type GraphBuilder, type GraphNode, InputPorts, type Port, portsOf } from "../api/pipeline.js";
import type { StandardSchema } from "../api/standard-schema.js";

/** The name of the job's input among nodes. */
export const inputNode = "input";

/** A job laid out: its nodes, who follows whom, and where items leave. */
export interface Graph {
  readonly nodes: ReadonlyMap<string, GraphNode>;
  /** What becomes of items, by the node they come out of and their tag. */
  readonly ports: ReadonlyMap<string, ReadonlyMap<string, OutPort>>;
}

/** Where a node puts out items with one tag. */
export interface OutPort {
  /** The nodes that take them. */
  readonly consumers: readonly GraphNode[];
  /** Whether they leave the job. */
  readonly leaves: boolean;
}

/** The user's job cannot run: its module, its configuration or its graph is wrong. */
export class JobError extends Error {
  override readonly name = "JobError";

  constructor(
    readonly code: "JOB_MODULE" | "JOB_CONFIG" | "JOB_GRAPH",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function isJob(value: unknown): value is Job {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "klio.job";
}

/** Lays out a job. Throws {@link JobError}. */
export async function layOut(job: Job, config: EffectiveConfig): Promise<Graph> {
  const own = await checkConfig(job.config, config.job_config.user);
  const builder: GraphBuilder = { nodes: new Map() };
  const names = new Map(config.job_config.events.inputs.map((i) => [i.name, inputTag(config, i.name)]));
  const input = new InputPorts(builder, inputNode, names);
  let ends: readonly Port[];
  try {
    ends = portsOf(job.build(input, own as never));
  } catch (error) {
    const message = messageOf(error);
    throw new JobError("JOB_GRAPH", `the job's build function failed: ${message}`, { cause: error });
  }
  checkLimits(builder, config);
  const ports = new Map<string, Map<string, OutPort>>();
  const change = ({ node, tag }: Port, by: (port: OutPort) => OutPort) => {
    const ofNode = ports.get(node) ?? new Map<string, OutPort>();
    ports.set(node, ofNode.set(tag, by(ofNode.get(tag) ?? { consumers: [], leaves: false })));
  };
  for (const node of builder.nodes.values()) {
    for (const from of node.inputs) change(from, (port) => ({ ...port, consumers: [...port.consumers, node] }));
  }
  for (const end of ends) change(end, (port) => ({ ...port, leaves: true }));
  const tags = [...names.values()];
  const untaken = tags.find((tag) => ports.get(inputNode)?.has(tag) !== true);
  if (untaken !== undefined) {
    const what = tags.length === 1 ? "the job's input" : `the event input "${untaken}"`;
    throw new JobError("JOB_GRAPH", `nothing takes what comes from ${what}: apply a transform to it, or return it`);
  }
  return { nodes: builder.nodes, ports };
}

function checkLimits({ nodes }: GraphBuilder, config: EffectiveConfig): void {
  const { limits } = config.job_config.workers;
  for (const { path, transform } of nodes.values()) {
    const { limit } = transform;
    if (typeof limit !== "string" || Object.hasOwn(limits, limit)) continue;
    const known = Object.keys(limits).join(", ");
    const there = known === "" ? "it has none" : `it has: ${known}`;
    const message = `node ${path} takes part in the limit "${limit}", which klio-job.yaml does not have (${there}). Add it: job_config.workers.limits: {${limit}: 1}`;
    throw new JobError("JOB_GRAPH", message);
  }
}

/** The tag under which the items of an event input come out of the input node. */
export function inputTag(config: EffectiveConfig, name: string): string {
  return config.job_config.events.inputs.length > 1 ? name : mainTag;
}

function portKey(node: string, tag: string): string {
  return `${node}/${tag}`;
}

/** The graph as plain JSON: what `klio-runtime graph` prints, and what the digest is taken of. */
export function describeGraph(graph: Graph) {
  const nodes = [...graph.nodes.values()].map(({ path, transform, inputs }) => ({
    path,
    transform: transform.name,
    inputs: inputs.map((p) => portKey(p.node, p.tag)),
  }));
  const outputs = [...graph.ports].flatMap(([node, tags]) =>
    [...tags].filter(([, port]) => port.leaves).map(([tag]) => portKey(node, tag)),
  );
  return { nodes, outputs: outputs.sort() };
}

/** SHA-256 of the graph, hexadecimal; equal wherever the same job is laid out. */
export function graphDigest(graph: Graph): string {
  return createHash("sha256")
    .update(JSON.stringify(describeGraph(graph)))
    .digest("hex");
}

async function checkConfig(schema: StandardSchema<unknown> | undefined, own: unknown): Promise<unknown> {
  if (schema === undefined) return own;
  const result = await schema["~standard"].validate(own);
  if (result.issues === undefined) return result.value;
  const lines = result.issues.map((issue) => {
    const path = (issue.path ?? []).map((p) => String(typeof p === "object" ? p.key : p));
    return `job_config.${path.join(".")}: ${issue.message}`;
  });
  throw new JobError("JOB_CONFIG", `the job's own configuration is wrong:\n  ${lines.join("\n  ")}`);
}
