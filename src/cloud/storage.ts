/** What klio's commands ask of Cloud Storage. */
export interface StorageAdmin {
  createBucket(name: string): Promise<"created" | "existed">;
  /** Uploads a file of this machine. */
  upload(bucket: string, object: string, file: string): Promise<void>;
}

/** `emulator` is `http://host:port`; absent: Cloud Storage with the application's default credentials. */
export async function openStorage(project: string, emulator: string | undefined): Promise<StorageAdmin> {
  if (emulator !== undefined) {
    process.env["METADATA_SERVER_DETECTION"] ??= "none"; // see pubsub.ts
    // To the client, the variable counts for more than its option.
    process.env["STORAGE_EMULATOR_HOST"] = emulator;
  }
  const { Storage } = await import("./google-storage.js");
  const storage = new Storage({ projectId: project, ...(emulator === undefined ? {} : { apiEndpoint: emulator }) });
  return {
    async createBucket(name) {
      try {
        await storage.createBucket(name);
        return "created";
      } catch (error) {
        const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
        if (code === 409) return "existed";
        throw error;
      }
    },
    async upload(bucket, object, file) {
      await storage.bucket(bucket).upload(file, { destination: object, resumable: false });
    },
  };
}
