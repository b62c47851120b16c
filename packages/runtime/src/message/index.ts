export { childId, klioIdAttribute, rootId } from "./ids.js";
export { writeMessage as encodeMessage } from "./codec.js";
export { decodeMessage, elementOf, encodingAttribute, UndecodableError } from "./klio-message.js";
export { appendAudit, askParent, type JobIdentity, receive, timesTaken } from "./recipients.js";
export { requestMessage, type RequestOptions } from "./requests.js";
export { type KlioMessage, KlioMessageSchema, Version } from "../../gen/klio_pb.js";
