export interface NodeTime {
  readonly node: string;
  /** Milliseconds in user code, all calls together. */
  ms: number;
  calls: number;
}

/** What each node's user code took in one attempt, in the order of their first calls. */
export class NodeTimes {
  readonly all: NodeTime[] = [];

  /** `calls`: 1 for a call, 0 for a further step of a generator. */
  add(node: string, ms: number, calls: 0 | 1): void {
    const known = this.all.find((t) => t.node === node);
    if (known === undefined) {
      this.all.push({ node, ms, calls });
      return;
    }
    known.ms += ms;
    known.calls += calls;
  }
}
