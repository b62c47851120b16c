import { loadConfig } from "@klio/config";
import { openPubSub, openStorage } from "../cloud/index.js";
import { type Ensured, ensureResources } from "./ensure.js";
import { planResources } from "./plan.js";

/** Creates what a job that is about to be written needs: in Google Cloud, or in the emulators that the environment names. */
export async function createResources(
  files: readonly { readonly path: string; readonly data: Buffer }[],
  environment: NodeJS.ProcessEnv,
): Promise<Ensured[]> {
  const file = files.find((f) => f.path === "klio-job.yaml");
  const { config } = loadConfig({ file: "klio-job.yaml", text: file?.data.toString() ?? "" });
  if (config === undefined) return [];
  const host = environment["STORAGE_EMULATOR_HOST"];
  const storage = host === undefined || /^https?:/.test(host) ? host : `http://${host}`;
  const pubsub = await openPubSub(environment["PUBSUB_EMULATOR_HOST"]);
  try {
    return await ensureResources(
      planResources(config),
      pubsub,
      await openStorage(config.pipeline_options.project, storage),
    );
  } finally {
    await pubsub.close();
  }
}
