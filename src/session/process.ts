import type { SessionOptions } from "./options.js";
import type { SessionKey } from "./paths.js";
import { serveSession } from "./server.js";

// The background process of a session; started by joinSession with one argument: what session, and how.
const [argument] = process.argv.slice(2);
if (argument === undefined) throw new Error("the session's key is missing");
const { key, options } = JSON.parse(argument) as { key: SessionKey; options: SessionOptions };
serveSession(key, options).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
