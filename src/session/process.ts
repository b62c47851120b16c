import type { SessionOptions } from "./options.js";
import type { SessionKey } from "./paths.js";
import { serveSession } from "./server.js";

// The background process of a session; started by joinSession with one argument: what session, and how.
const [argument] = process.argv.slice(2);
if (argument === undefined) throw new Error("the session's key is missing");
const { key, options, starter } = JSON.parse(argument) as { key: SessionKey; options: SessionOptions; starter: number };
serveSession(key, options, starter).then(
  () => process.exit(0),
  (error: unknown) => {
    // Of an address that cannot be used, and the like, the sentence says it all.
    const said =
      error instanceof Error && "code" in error ? error.message : error instanceof Error ? error.stack : error;
    process.stderr.write(`${String(said)}\n`);
    process.exit(1);
  },
);
