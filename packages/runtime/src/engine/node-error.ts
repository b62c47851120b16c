/** The failure of one node's user code; `cause` is what it threw. */
export class NodeError extends Error {
  constructor(
    readonly node: string,
    cause: unknown,
  ) {
    super(`node ${node} failed`, { cause });
  }
}
