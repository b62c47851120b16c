import { GoogleAuth } from "google-auth-library";
import type { Authorize } from "./client.js";

/** Those that the official clients find: https://cloud.google.com/docs/authentication/application-default-credentials */
export function defaultCredentials(projectId: string): Authorize {
  const scopes = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/devstorage.full_control",
  ];
  const auth = new GoogleAuth({ projectId, scopes });
  return async (url) => Object.fromEntries(await auth.getRequestHeaders(url));
}
