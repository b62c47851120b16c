export { childId, klioIdAttribute, rootId } from "./ids.js";
export { decodeMessage, elementOf, encodeMessage, encodingAttribute, UndecodableError } from "./klio-message.js";
export { appendAudit, askParent, type JobIdentity, receive, timesTaken } from "./recipients.js";
export { requestMessage, type RequestOptions } from "./requests.js";
export { type KlioMessage, KlioMessageSchema, Version } from "../../gen/klio_pb.js";
