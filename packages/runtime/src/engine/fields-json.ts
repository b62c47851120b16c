/** Characters of one log entry's fields; what is longer is cut. */
export const maxLogLength = 65_536;

/** Fields of a log entry as JSON, whatever they are. */
export function fieldsJson(fields: Readonly<Record<string, unknown>>): string {
  try {
    const json = JSON.stringify(fields);
    return json.length > maxLogLength ? JSON.stringify({ cut: json.slice(0, maxLogLength) }) : json;
  } catch {
    return JSON.stringify({ unserialisable: Object.keys(fields) });
  }
}
