import type { Http2ServerRequest, Http2ServerResponse, OutgoingHttpHeaders } from "node:http2";

type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/**
 * Connect writes a status message as a part of a URL; gRPC escapes percent signs and what is not printable ASCII alone, and
 * clients show the rest as it comes. Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
 */
export function withLegibleMessages(handler: Handler): Handler {
  return (request, response) => {
    const addTrailers = response.addTrailers.bind(response);
    response.addTrailers = (trailers) => {
      addTrailers(legible(trailers));
    };
    handler(request, response);
  };
}

function legible(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const message = headers["grpc-message"];
  if (typeof message !== "string") return headers;
  return { ...headers, "grpc-message": escaped(decodeURIComponent(message)) };
}

/** Percent-encodes bytes that are not printable ASCII, and the percent sign. */
export function escaped(message: string): string {
  return [...Buffer.from(message)]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    )
    .join("");
}
