/** What STORAGE_EMULATOR_HOST names, as `http://host:port`; undefined for Cloud Storage itself. */
export function emulatorUrl(host: string | undefined): string | undefined {
  return host === undefined || /^https?:\/\//.test(host) ? host : `http://${host}`;
}
