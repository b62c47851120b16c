/** Characters of one log entry's text, of its fields, and of an error's message and stack; what is longer is cut. */
const maxLogLength = 65_536;

/** The text of a log entry, or of an error. */
export function logText(text: string): string {
  return text.length > maxLogLength ? `${text.slice(0, maxLogLength)}… (${text.length} characters)` : text;
}

/** Fields of a log entry as JSON, whatever they are. */
export function fieldsJson(fields: Readonly<Record<string, unknown>>): string {
  try {
    const json = JSON.stringify(fields);
    return json.length > maxLogLength ? JSON.stringify({ cut: json.slice(0, maxLogLength) }) : json;
  } catch {
    return JSON.stringify({ unserialisable: Object.keys(fields) });
  }
}
