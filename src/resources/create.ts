import { formatDiagnostic, loadConfig } from "@klio/config";
import { emulatorUrl } from "@klio/runtime/emulator-url";
import { openPubSub, openStorage } from "../cloud/index.js";
import { KlioError } from "../errors.js";
import { type Ensured, ensureResources } from "./ensure.js";
import { planResources } from "./plan.js";

/** Creates what a job that is about to be written needs: in Google Cloud, or in the emulators that the environment names. */
export async function createResources(
  files: readonly { readonly path: string; readonly data: Buffer }[],
  environment: NodeJS.ProcessEnv,
): Promise<Ensured[]> {
  const [broker, host] = [environment["PUBSUB_EMULATOR_HOST"], environment["STORAGE_EMULATOR_HOST"]];
  if ((broker === undefined) !== (host === undefined)) {
    throw new KlioError("EMULATORS_HALF", "of PUBSUB_EMULATOR_HOST and STORAGE_EMULATOR_HOST only one is set", {
      hint: "Set both, to create in emulators, or neither, to create in Google Cloud.",
    });
  }
  const file = files.find((f) => f.path === "klio-job.yaml");
  const text = file?.data.toString() ?? "";
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) {
    throw new KlioError("CONFIG_INVALID", "the template makes a klio-job.yaml with mistakes", {
      details: diagnostics.map(formatDiagnostic),
    });
  }
  const pubsub = await openPubSub(broker);
  try {
    const { project } = config.pipeline_options;
    return await ensureResources(planResources(config), pubsub, await openStorage(project, emulatorUrl(host)));
  } finally {
    await pubsub.close();
  }
}
