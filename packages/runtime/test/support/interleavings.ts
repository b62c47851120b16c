/** Something that takes one of several steps at a time, until there are none. It must behave the same way each time. */
export interface World {
  /** What may happen next; none when it is over. */
  choices(): readonly string[];
  take(choice: string): Promise<void>;
  /** Equal for two worlds only if they go on alike and are judged alike. */
  fingerprint(): string;
  /** Asked when it is over: the promises that were broken. */
  broken(): readonly string[];
}

export interface Exploration {
  /** Orders of steps from the start to the end. */
  readonly interleavings: number;
  /** Different worlds met on the way. */
  readonly states: number;
  /** Promises that were broken, each with the first order of steps that broke it. */
  readonly broken: ReadonlyMap<string, readonly string[]>;
  /** Every step that was taken somewhere. */
  readonly taken: ReadonlySet<string>;
}

/** No order of steps is longer: an attempt that goes on for ever must be told from one that takes its time. */
const mostSteps = 60;

export interface ExploreOptions {
  /** Whether worlds that were met before are looked at once only; true by default. */
  readonly merge?: boolean;
  /** A broken promise that ends the search. */
  readonly enough: (promise: string) => boolean;
}

/**
 * Takes a world through every order of its steps. A world that was met before, on another way, is not looked at again: the
 * orders that lead on from it are counted without being walked.
 */
export async function explore(make: () => Promise<World>, options: ExploreOptions): Promise<Exploration> {
  const { merge = true, enough } = options;
  const known = new Map<string, number>();
  const broken = new Map<string, readonly string[]>();
  const taken = new Set<string>();
  let states = 0;

  async function walk(path: readonly string[]): Promise<World> {
    const world = await make();
    for (const choice of path) await world.take(choice);
    return world;
  }

  /** Counts the orders that go on from here. */
  async function visit(world: World, path: readonly string[]): Promise<number> {
    if ([...broken.keys()].some(enough)) return 0;
    const fingerprint = world.fingerprint();
    const before = merge ? known.get(fingerprint) : undefined;
    if (before !== undefined) return before;
    states += 1;
    if (path.length > mostSteps) throw new Error(`no end after ${mostSteps} steps: ${path.join(" · ")}`);
    const choices = world.choices();
    if (choices.length === 0) for (const promise of world.broken()) if (!broken.has(promise)) broken.set(promise, path);
    let count = choices.length === 0 ? 1 : 0;
    for (const [i, choice] of choices.entries()) {
      taken.add(choice);
      // A world cannot be copied: the first choice goes on with this one, the others with one that is brought here again.
      const next = i === 0 ? world : await walk(path);
      await next.take(choice);
      count += await visit(next, [...path, choice]);
    }
    known.set(fingerprint, count);
    return count;
  }

  const interleavings = await visit(await make(), []);
  return { interleavings, states, broken, taken };
}
