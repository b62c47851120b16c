import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { PushConfig } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import { invalidArgument, unimplemented } from "../errors.js";
import { decodeMessage } from "../message.js";
import type { Delivery } from "./consumer.js";

export interface PushRequest {
  readonly url: string;
  readonly method: "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | string;
}

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Throws INVALID_ARGUMENT for what is no URL, UNIMPLEMENTED for an endpoint or an authentication that is not supported. */
export function checkPushConfig(config: PushConfig | undefined): void {
  if (config === undefined || config.pushEndpoint === "") return;
  const url = URL.canParse(config.pushEndpoint) ? new URL(config.pushEndpoint) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw invalidArgument(`push_endpoint is no http or https URL: "${config.pushEndpoint.slice(0, 200)}"`);
  }
  if (url.username !== "" || url.password !== "") throw invalidArgument("push_endpoint must not contain credentials");
  if (!loopback.test(url.hostname)) {
    throw unimplemented(`this emulator pushes to this machine only (localhost), not to ${url.hostname}`);
  }
  if (config.authenticationMethod.case !== undefined) {
    throw unimplemented("this emulator does not support PushConfig.oidc_token: it has no identity to sign with");
  }
}

/** The request that brings a message to a push endpoint. Source: https://cloud.google.com/pubsub/docs/push#receive_push */
export function pushRequest(config: PushConfig, subscription: string, { record, attempt }: Delivery): PushRequest {
  const message = decodeMessage(record.message);
  const publishTime = message.publishTime === undefined ? "" : timestampDate(message.publishTime).toISOString();
  const target = { url: config.pushEndpoint, method: "POST" } as const;
  if (config.wrapper.case === "noWrapper") {
    const metadata = {
      "x-goog-pubsub-subscription-name": subscription,
      "x-goog-pubsub-message-id": message.messageId,
      "x-goog-pubsub-publish-time": publishTime,
      ...(message.orderingKey === "" ? {} : { "x-goog-pubsub-ordering-key": message.orderingKey }),
      ...asHeaders(message.attributes),
    };
    const headers = config.wrapper.value.writeMetadata ? metadata : {};
    return { ...target, headers, body: new Uint8Array(message.data) };
  }
  const body = {
    message: {
      ...(Object.keys(message.attributes).length === 0 ? {} : { attributes: message.attributes }),
      ...(message.data.length === 0 ? {} : { data: Buffer.from(message.data).toString("base64") }),
      messageId: message.messageId,
      message_id: message.messageId,
      publishTime,
      publish_time: publishTime,
      ...(message.orderingKey === "" ? {} : { orderingKey: message.orderingKey }),
    },
    subscription,
    ...(attempt === 0 ? {} : { deliveryAttempt: attempt }),
  };
  return { ...target, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Headers that are about the connection, and not the message's to set. */
const ofTheConnection =
  /^(?:connection|content-length|expect|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

/** Attributes that a header can carry. */
function asHeaders(attributes: Readonly<Record<string, string>>): Record<string, string> {
  const name = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
  const value = /^[\t\x20-\x7e]*$/;
  return Object.fromEntries(
    Object.entries(attributes).filter(([k, v]) => name.test(k) && value.test(v) && !ofTheConnection.test(k)),
  );
}
