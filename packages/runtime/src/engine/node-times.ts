export interface NodeTime {
  readonly node: string;
  /** Milliseconds in user code, all calls together. */
  ms: number;
  calls: number;
}

/** What each node's user code took in one attempt, in the order of their first calls. */
export class NodeTimes {
  readonly all: NodeTime[] = [];

  add(node: string, ms: number): void {
    const known = this.all.find((t) => t.node === node);
    if (known === undefined) {
      this.all.push({ node, ms, calls: 1 });
      return;
    }
    known.ms += ms;
    known.calls += 1;
  }
}
