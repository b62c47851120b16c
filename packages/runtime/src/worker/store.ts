import { emulatorUrl } from "../emulator-url.js";
import { FileStore } from "../objects/file-store.js";
import { GcsStore } from "../objects/gcs-store.js";
import { RoutedStore } from "../objects/routed-store.js";
import type { ObjectStore } from "../objects/store.js";

/** Objects of a job: files, and Cloud Storage or its emulator as the environment says. */
export function makeStore(project: string): ObjectStore {
  const emulator = emulatorUrl(process.env["STORAGE_EMULATOR_HOST"]);
  const buckets = () => new GcsStore({ project, ...(emulator === undefined ? {} : { emulator }) });
  return new RoutedStore(() => new FileStore(), buckets);
}
