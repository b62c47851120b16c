import { Code, ConnectError } from "@connectrpc/connect";

export const invalidArgument = (message: string) => new ConnectError(message, Code.InvalidArgument);
export const notFound = (message: string) => new ConnectError(message, Code.NotFound);
export const alreadyExists = (message: string) => new ConnectError(message, Code.AlreadyExists);
export const failedPrecondition = (message: string) => new ConnectError(message, Code.FailedPrecondition);
export const unavailable = (message: string) => new ConnectError(message, Code.Unavailable);
export const resourceExhausted = (message: string) => new ConnectError(message, Code.ResourceExhausted);
export const unimplemented = (message: string) => new ConnectError(message, Code.Unimplemented);
