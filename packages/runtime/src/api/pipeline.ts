import { checkName, type Transform } from "./define-transform.js";
import type { mainTag } from "./outcome.js";

/** The payload of what was not tagged. */
export type MainOf<Outputs> = Outputs extends { readonly [mainTag]: infer Payload } ? Payload : NoUntaggedOutput;

/** Stands where a payload would: every output is tagged, and `branch` takes them apart. No transform accepts it. */
export interface NoUntaggedOutput {
  readonly "every output of this transform is tagged: use branch(…)": never;
}

/** Where items come out: a node and one of its tags. */
export interface Port {
  readonly node: string;
  readonly tag: string;
}

export interface GraphNode {
  readonly path: string;
  readonly transform: Transform<never, unknown>;
  readonly inputs: readonly Port[];
}

/** Collects nodes while `build` runs. */
export interface GraphBuilder {
  readonly nodes: Map<string, GraphNode>;
}

/** Items on their way. Each `apply` adds a step; nothing runs until the job does. */
export interface Pipeline<Outputs> {
  /** Only for the compiler. */
  readonly outputs?: Outputs;
  /** Sends the untagged items through a transform. One that is applied twice needs a name for the second; a name that is there already throws a TypeError. */
  apply<Next>(transform: Transform<MainOf<Outputs>, Next>, name?: string): Pipeline<Next>;
  /** The items under each of the tags: `const [loud, quiet] = p.branch("loud", "quiet")`. */
  branch<const Tags extends readonly (keyof Outputs & string)[]>(
    ...tags: Tags
  ): { readonly [I in keyof Tags]: Pipeline<{ readonly main: Outputs[Tags[I]] }> };
}

/** What a job's event inputs deliver: all of it together, or apart by the inputs' names. */
export interface Inputs {
  readonly main: Uint8Array;
  readonly [name: string]: Uint8Array;
}

/** Items of several pipelines together; their payloads may differ. Throws a TypeError without any. */
export function merge<const Pipelines extends readonly Pipeline<{ readonly main: unknown }>[]>(
  ...pipelines: Pipelines
): Pipeline<{ readonly main: MainOf<OutputsOf<Pipelines[number]>> }> {
  const nodes = pipelines.map((p) => internals(p));
  const first = nodes[0];
  if (first === undefined) throw new TypeError("merge needs at least one pipeline");
  return new Ports<{ readonly main: MainOf<OutputsOf<Pipelines[number]>> }>(
    first.builder,
    nodes.flatMap((n) => n.ports),
  );
}

type OutputsOf<P> = P extends Pipeline<infer Outputs> ? Outputs : never;

/** The ends of a pipeline that `build` returned. Throws a TypeError when it returned something else. */
export function portsOf(pipeline: unknown): readonly Port[] {
  return internals(pipeline).ports;
}

const key = Symbol.for("klio.pipeline");

function internals(pipeline: unknown): Ports<unknown> {
  if (typeof pipeline === "object" && pipeline !== null && key in pipeline) return pipeline as Ports<unknown>;
  throw new TypeError("build returned no pipeline: did you forget to return the last apply(…)?");
}

export class Ports<Outputs> implements Pipeline<Outputs> {
  readonly [key] = true;

  constructor(
    readonly builder: GraphBuilder,
    readonly ports: readonly Port[],
  ) {}

  apply<Next>(transform: Transform<MainOf<Outputs>, Next>, name?: string): Pipeline<Next> {
    const path = name ?? transform.name;
    checkName(path);
    if (this.builder.nodes.has(path)) {
      throw new TypeError(`there are two nodes called "${path}": give one another name, apply(transform, "name")`);
    }
    this.builder.nodes.set(path, { path, transform: transform, inputs: this.ports });
    return new Ports<Next>(this.builder, [{ node: path, tag: "main" }]);
  }

  branch<const Tags extends readonly (keyof Outputs & string)[]>(...tags: Tags) {
    const branches = tags.map(
      (tag) =>
        new Ports(
          this.builder,
          this.ports.map((port) => ({ node: port.node, tag })),
        ),
    );
    return branches as unknown as { readonly [I in keyof Tags]: Pipeline<{ readonly main: Outputs[Tags[I]] }> };
  }
}

/** The job's input: `apply` takes the items of all event inputs, `branch(…)` those of single ones, by their names. */
export class InputPorts extends Ports<Inputs> {
  constructor(
    builder: GraphBuilder,
    readonly node: string,
    /** Name of each event input and the tag its items come out under. */
    readonly inputs: ReadonlyMap<string, string>,
  ) {
    super(
      builder,
      [...inputs.values()].map((tag) => ({ node, tag })),
    );
  }

  override branch<const Tags extends readonly string[]>(...names: Tags) {
    const branches = names.map((name) => {
      const tag = this.inputs.get(name);
      if (tag !== undefined) return new Ports(this.builder, [{ node: this.node, tag }]);
      const known = [...this.inputs.keys()].join(", ");
      throw new TypeError(`there is no event input "${name}" in klio-job.yaml; there are: ${known}`);
    });
    return branches as unknown as { readonly [I in keyof Tags]: Pipeline<{ readonly main: Uint8Array }> };
  }
}
