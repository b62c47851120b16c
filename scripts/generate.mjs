// Generates TypeScript from the protocol definitions: klio's own in spec/, and Pub/Sub's from the official client.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const modules = join(root, "node_modules");
const googleApi = ["annotations", "client", "field_behavior", "http", "launch_stage", "resource"];

/** Runs buf over `files` (target path → source path) and writes TypeScript into `out`. `edit` changes a file's text. */
function generate(files, paths, out, { edit = (_target, text) => text, exclude = [] } = {}) {
  const staging = mkdtempSync(join(tmpdir(), "klio-protos-"));
  try {
    for (const [target, source] of Object.entries(files)) {
      mkdirSync(join(staging, target, ".."), { recursive: true });
      writeFileSync(join(staging, target), edit(target, readFileSync(source, "utf8")));
    }
    writeFileSync(join(staging, "buf.yaml"), "version: v2\n");
    const template = {
      version: "v2",
      plugins: [
        {
          local: [process.execPath, join(modules, "@bufbuild/protoc-gen-es/bin/protoc-gen-es")],
          out,
          opt: ["target=ts", "import_extension=js"],
          include_imports: true,
        },
      ],
    };
    rmSync(out, { recursive: true, force: true });
    const args = ["generate", staging, "--template", JSON.stringify(template)];
    for (const path of paths) args.push("--path", join(staging, path));
    for (const type of exclude) args.push("--exclude-type", type);
    execFileSync(process.execPath, [join(modules, "@bufbuild/buf/bin/buf"), ...args], {
      stdio: "inherit",
    });
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

export function generateProtocols() {
  generate(
    {
      "klio.proto": join(root, "spec/klio.proto"),
      "worker.proto": join(root, "spec/worker.proto"),
    },
    ["klio.proto", "worker.proto"],
    join(root, "packages/runtime/gen"),
  );
  const pubsub = "@google-cloud/pubsub/build/protos/google/pubsub/v1";
  const files = {
    "google/pubsub/v1/pubsub.proto": join(modules, pubsub, "pubsub.proto"),
    "google/pubsub/v1/schema.proto": join(modules, pubsub, "schema.proto"),
  };
  for (const name of googleApi) {
    files[`google/api/${name}.proto`] = join(modules, `google-gax/build/protos/google/api/${name}.proto`);
  }
  files["google/rpc/error_details.proto"] = join(modules, "google-gax/build/protos/google/rpc/error_details.proto");
  files["journal.proto"] = join(root, "packages/emulators/proto/journal.proto");
  generate(
    files,
    ["google/pubsub/v1/pubsub.proto", "google/rpc/error_details.proto", "journal.proto"],
    join(root, "packages/emulators/gen"),
    {
      edit: storedAsBytes,
      // What they say of REST, of resources and of client libraries is of no use here, and costs memory at every start.
      exclude: ["google.api.**", "google.pubsub.v1.SchemaService"],
    },
  );
}

/**
 * The emulator keeps messages encoded and sends them as they are. On the wire a message within a message and bytes are the
 * same, so the field is declared as bytes.
 */
function storedAsBytes(target, text) {
  if (target !== "google/pubsub/v1/pubsub.proto") return text;
  const [before, received] = text.split(/(?=^message ReceivedMessage \{)/m);
  const edited = received?.replace(/^ {2}PubsubMessage message = 2/m, "  bytes message = 2");
  if (edited === undefined || edited === received) throw new Error("ReceivedMessage.message is not where it was");
  return before + edited;
}

if (process.argv[1] === import.meta.filename) generateProtocols();
