import { existsSync } from "node:fs";
import { join } from "node:path";
import { chalkStderr } from "chalk";
import type { RunEvent } from "../runners/index.js";
import { gatheredLine, type Summary, summaryLines } from "./batch-view.js";

interface OutcomeLine {
  readonly outcome: string;
  readonly element: string;
  readonly message_id: string;
  readonly duration_ms: number;
  readonly attempts: number;
  readonly objects: readonly { readonly uri: string; readonly write: string }[];
  readonly reason?: string;
  readonly code?: string;
  readonly node?: string;
  readonly dead_letter?: string;
}

/** Where the objects of the local session can be opened. */
export interface Shown {
  /** The storage folder, as it is shown to the user. */
  readonly storage: string;
}

const { green, yellow, red, dim, bold, cyan } = chalkStderr;

const signs: Readonly<Record<string, string>> = {
  processed: green("✔"),
  "passed-through": green("↷"),
  skipped: yellow("⊘"),
  "not-for-this-job": dim("·"),
  "sent-upstream": yellow("↥"),
  duplicate: dim("·"),
  "dead-letter": red("✘"),
  "given-back": yellow("↩"),
};

/** One line for a message: element, outcome, duration, where the output lies. */
export function outcomeLine(event: OutcomeLine, shown: Shown): string {
  const element = event.element === "" ? `message ${event.message_id}` : printable(event.element);
  const tries = event.attempts > 1 ? `, ${event.attempts} attempts` : "";
  const places = event.objects.map((o) => localPath(o.uri, shown));
  const reason = event.reason === undefined || event.reason === "" ? "" : `: ${printable(event.reason)}`;
  // In the local session it is a file, which can be put there.
  const missing = event.code === "INPUT_NOT_FOUND" ? reason.replace("gs://", `${shown.storage}/`) : reason;
  const where = event.node === undefined || event.node === "" ? "" : dim(` (${event.node})`);
  const lost = event.dead_letter?.replace(/^projects\/[^/]+\/topics\//, "topic ");
  const output = places.length === 0 ? (lost === undefined ? "" : ` → ${lost}`) : ` → ${places.join(", ")}`;
  const sign = signs[event.outcome] ?? "·";
  const took = dim(`in ${duration(event.duration_ms)}${tries}`);
  return `${sign} ${bold(element)} ${event.outcome}${where} ${took}${missing}${output}`;
}

/** A line for people, or undefined for an event that says nothing to them. */
export function eventLine(event: RunEvent, shown: Shown): string | undefined {
  const text = (key: string) => (typeof event[key] === "string" ? printable(event[key]) : "");
  switch (event.event) {
    case "outcome":
      return outcomeLine(event as unknown as OutcomeLine, shown) + stack(event);
    case "retry": {
      const counted = `attempt ${String(event["charged"])} of ${String(event["attempts"])}`;
      const which = event["uncharged"] === true ? "not charged" : counted;
      return `${yellow("↻")} ${bold(text("element"))} failed (${text("node") || text("code")}), ${which}: ${text("reason")}${stack(event)}`;
    }
    case "log":
      return `${dim("│")} ${level(text("severity"))}${text("element") === "" ? "" : dim(`${text("element")} `)}${multiline(event["message"])}`;
    case "trouble":
      return yellow(`! ${text("message")}`);
    case "paused":
      return `${red("‖")} ${text("message")}`;
    case "resumed":
      return green("▶ a message succeeded: the job goes on");
    case "in-flight":
      return inFlightLines(event);
    case "listening":
      return dim(`${text("url")}  /healthz /readyz /metrics /in-flight`);
    case "fatal":
      return `${red("✘")} ${multiline(event["message"])} ${dim(`[${text("code")}]`)}${stack(event)}`;
    case "reloaded":
      return `${green("↻ the new code is in service")} ${dim(`after ${duration(Number(event["took_ms"]))}`)}`;
    case "reload-failed":
      if (event["code"] === "RELOAD_SUPERSEDED") return undefined;
      return `${red("✘")} the new code does not run, the last good one goes on: ${multiline(event["message"])}${stack(event)}`;
    case "config-changed":
      return changeLines(event);
    case "restarting":
      return dim("restarting: what is in hand is finished first");
    case "change-refused":
      return refused(event);
    case "ended":
      return `${red("✘")} ${text("message")}`;
    case "session-gone":
      return yellow(`! ${text("message")}`);
    case "notice":
      return dim(text("message"));
    case "type-error":
      return yellow(`! ${multiline(event["message"])}`);
    case "gathered":
      return gatheredLine(event);
    case "summary":
      return summaryLines(event as unknown as Summary);
    case "draining":
      if (event["reason"] === "every element is done") return undefined;
      return dim(`stopping: ${String(event["in_hand"])} message(s) in hand; once more Ctrl-C gives them back at once`);
    case "stopped":
      if (event["batch"] === true) return undefined;
      return dim(`stopped: ${String(event["done"])} done, ${String(event["given_back"])} given back`);
    default:
      return undefined;
  }
}

/** What is in hand, a line each. */
function inFlightLines(event: RunEvent): string {
  const messages = (event["messages"] ?? []) as readonly {
    readonly element: string;
    readonly message_id: string;
    readonly state: string;
    readonly node?: string;
    readonly attempts: number;
    readonly seconds: number;
  }[];
  const lines = messages.map((m) => {
    const where = m.node === undefined ? m.state : `${m.state} in ${m.node}`;
    const tries = m.attempts > 1 ? `, attempt ${m.attempts}` : "";
    return `    ${bold(printable(m.element || m.message_id))} ${where} ${dim(`for ${duration(m.seconds * 1_000)}${tries}`)}`;
  });
  return [`${messages.length} message(s) in hand${messages.length === 0 ? "" : ":"}`, ...lines].join("\n");
}

/** What changed in klio-job.yaml, key by key, and what that means. */
function changeLines(event: RunEvent): string {
  const changes = (event["changes"] ?? []) as readonly {
    readonly key: string;
    readonly before?: unknown;
    readonly after?: unknown;
    readonly effect: string;
  }[];
  const value = (v: unknown) => (v === undefined ? dim("none") : printable(JSON.stringify(v)));
  const lines = changes.map((c) => `    ${c.key}: ${value(c.before)} → ${value(c.after)} ${dim(`(${c.effect}s)`)}`);
  const what = event["effect"] === "restart" ? "the job restarts" : "it is reloaded";
  return [`${yellow("↻")} klio-job.yaml changed, ${what}:`, ...lines].join("\n");
}

/** A change that cannot be taken over: as it would be shown had the job not been running. */
function refused(event: RunEvent): string {
  const lines = (event["details"] as readonly string[] | undefined) ?? [];
  const then = event["goes_on"] === true ? "; the last good version goes on" : "";
  const head = `${red("✘")} ${multiline(event["message"])}${then} ${dim(`[${String(event["code"])}]`)}`;
  const hint = typeof event["hint"] === "string" ? [cyan(`→ ${event["hint"]}`)] : [];
  return [head, ...lines.map((l) => `  ${l.replaceAll("\n", "\n  ")}`), ...hint].join("\n");
}

/** The frames of a stack that are the user's own. */
function stack(event: RunEvent): string {
  const lines = typeof event["stack"] === "string" ? event["stack"].split("\n") : [];
  const own = lines.filter(
    (l) => /^\s+at /.test(l) && !/node:|node_modules|\(<anonymous>\)$|[\\/]runtime[\\/]/.test(l),
  );
  return own
    .slice(0, 3)
    .map((l) => `\n    ${l.trim().replaceAll("file://", "")}`)
    .join("");
}

function localPath(uri: string, { storage }: Shown): string {
  const path = join(storage, uri.replace(/^gs:\/\//, ""));
  return existsSync(path) ? path : uri;
}

function level(severity: string): string {
  if (severity === "ERROR") return red("error ");
  return severity === "WARNING" ? yellow("warning ") : "";
}

function duration(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** Text that cannot move the cursor or colour the terminal. */
function printable(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return short.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => JSON.stringify(c).slice(1, -1));
}

function multiline(value: unknown): string {
  const lines = (typeof value === "string" ? value : "").split("\n");
  return lines.map((l) => l.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")).join("\n    ");
}

/** Says that the job is ready, with every address. */
export function readyLines(
  event: RunEvent,
  session: { readonly pubsub: string; readonly storage: string; readonly moved: readonly string[] } | undefined,
  storage: string,
): string[] {
  const moved = session?.moved ?? [];
  const job = typeof event["job"] === "string" ? event["job"] : "";
  const where =
    session === undefined
      ? "files on this machine"
      : `Pub/Sub ${session.pubsub} · Cloud Storage ${session.storage} · files in ${storage}`;
  return [
    ...(moved.length === 0 ? [] : [yellow(`! the usual port is taken (${moved.join(", ")}); a free one is used`)]),
    `${green("✔")} ${bold(job)} is ready: ${where} · ${String(event["workers"])} worker(s)`,
  ];
}
