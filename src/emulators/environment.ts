/** What official clients, and others that know emulators, look for. */
export function environmentOf(
  emulators: { readonly pubsub: string; readonly storage: string },
  project: string,
): Record<string, string> {
  return {
    PUBSUB_EMULATOR_HOST: emulators.pubsub,
    STORAGE_EMULATOR_HOST: emulators.storage,
    GOOGLE_CLOUD_PROJECT: project,
    PUBSUB_PROJECT_ID: project,
    // Else Google's Node clients look for a metadata server on the network, in vain and with a warning.
    METADATA_SERVER_DETECTION: "none",
  };
}

export const shells = ["sh", "fish", "powershell"] as const;
export type Shell = (typeof shells)[number];

/** The language of the user's shell, by its path. */
export function shellOf(path: string | undefined, platform: NodeJS.Platform): Shell {
  if (path?.endsWith("fish") === true) return "fish";
  if (path?.endsWith("pwsh") === true) return "powershell";
  return path === undefined && platform === "win32" ? "powershell" : "sh";
}

/** Lines that set the variables in a shell; `unset`: that remove them. */
export function exportLines(environment: Readonly<Record<string, string>>, shell: Shell, unset = false): string[] {
  return Object.entries(environment).map(([name, value]) => {
    switch (shell) {
      case "sh":
        return unset ? `unset ${name}` : `export ${name}='${value.replaceAll("'", "'\\''")}'`;
      case "fish":
        return unset ? `set -e ${name}` : `set -gx ${name} '${value.replace(/[\\']/g, "\\$&")}'`;
      case "powershell":
        return unset ? `Remove-Item Env:${name}` : `$Env:${name} = '${value.replaceAll("'", "''")}'`;
    }
  });
}
