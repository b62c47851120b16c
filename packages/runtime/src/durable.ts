import { open } from "node:fs/promises";

/** Makes what was put into a folder, or renamed in it, last when the machine goes down. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  await folder.sync().catch(() => undefined); // not every file system can
  await folder.close();
}
