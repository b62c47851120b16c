import type { SessionKey } from "./paths.js";
import { serveSession } from "./server.js";

// The background process of a session; started by joinSession with the session's key as its one argument.
const [argument] = process.argv.slice(2);
if (argument === undefined) throw new Error("the session's key is missing");
serveSession(JSON.parse(argument) as SessionKey).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
