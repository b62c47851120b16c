import { invalidArgument } from "../errors.js";

// Resource names: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
const resourceId = /^[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/;
// Projects are not looked up, so their names are as free as test environments want them.
const projectId = /^[a-z0-9][a-z0-9.:-]{0,99}$/;

export type Collection = "topics" | "subscriptions" | "snapshots";

/** Checks `projects/P` and returns it. Throws INVALID_ARGUMENT. */
export function parseProject(name: string): string {
  const [kind, project, ...rest] = name.split("/");
  if (kind !== "projects" || project === undefined || rest.length > 0 || !projectId.test(project)) {
    throw invalidArgument(`"${name}" is not a project name: it has the form projects/PROJECT_ID`);
  }
  return name;
}

/** Checks `projects/P/topics/T` or `projects/P/subscriptions/S`. Throws INVALID_ARGUMENT. */
export function parseName(name: string, collection: Collection): string {
  const parts = name.split("/");
  const [projects, project, kind, id] = parts;
  if (parts.length !== 4 || projects !== "projects" || kind !== collection || !project || !id) {
    throw invalidArgument(`"${name}" has not the form projects/PROJECT_ID/${collection}/ID`);
  }
  parseProject(`projects/${project}`);
  if (!resourceId.test(id) || id.toLowerCase().startsWith("goog")) {
    throw invalidArgument(
      `"${id}" is not a legal id: 3 to 255 letters, digits and -_.~+%, a letter first, not beginning with goog`,
    );
  }
  return name;
}
