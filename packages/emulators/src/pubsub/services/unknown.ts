import { escaped } from "./legible.js";
import type { connectNodeAdapter } from "@connectrpc/connect-node";

type Handler = NonNullable<Parameters<typeof connectNodeAdapter>[0]["fallback"]>;

const unimplemented = 12;

/** Answers a call of a service or method that there is none of: the schema service, IAM. */
export const answerUnknown: Handler = (request, response) => {
  const method = (request.url ?? "/").slice(1, 200);
  request.resume();
  if (!("stream" in response)) return;
  // A status without a body is sent in one frame: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
  response.stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(unimplemented),
      "grpc-message": escaped(`this emulator does not support ${method}`),
    },
    { endStream: true },
  );
};
