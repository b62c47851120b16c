import type { IncomingMessage } from "node:http";
import { constants, type Http2ServerRequest } from "node:http2";
import { createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";

const reset = createContextKey<() => void>(() => undefined, { description: "resets the HTTP/2 stream of a call" });

/** Lets a call break the stream it came on. */
export function withReset(request: IncomingMessage | Http2ServerRequest) {
  return createContextValues().set(reset, () => {
    if ("stream" in request) request.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  });
}

/** Breaks the stream of a call, without a word to the client. */
export function resetStream(context: HandlerContext): void {
  context.values.get(reset)();
}
