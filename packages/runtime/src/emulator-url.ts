/** What STORAGE_EMULATOR_HOST names, as `http://host:port`; undefined for Cloud Storage itself. */
export function emulatorUrl(host: string | undefined): string | undefined {
  return host === undefined || /^https?:\/\//.test(host) ? host : `http://${host}`;
}

/** What PUBSUB_EMULATOR_HOST names, as Google's clients take it. */
export function pubsubAddress(text: string): { readonly servicePath: string; readonly port: number } {
  // An IPv6 address has colons of its own, in brackets.
  const [, servicePath = "127.0.0.1", port = "8085"] = /^(?:https?:\/\/)?(.*?)(?::(\d+))?$/.exec(text) ?? [];
  return { servicePath, port: Number(port) };
}
