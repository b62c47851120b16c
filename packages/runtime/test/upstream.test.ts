import { requestMessage } from "@klio/runtime/message";
import { describe, expect, it } from "vitest";
import { appendAudit, askParent, receive, timesTaken } from "../src/message/index.js";

const project = "a-project";
const named = (jobName: string) => ({ jobName, gcpProject: project });
const [ROOT, A, B, C, D] = ["root", "a", "b", "c", "d"].map(named) as [Job, Job, Job, Job, Job];
type Job = ReturnType<typeof named>;
type Message = ReturnType<typeof requestMessage>;

/** Who the message is for, and who makes it a message for everyone again. */
function recipients(message: Message) {
  const found = message.metadata?.intendedRecipients?.recipients;
  if (found?.case !== "limited") return found?.case;
  return { for: found.value.recipients.map((j) => j.jobName).sort(), resume: found.value.triggerChildrenOf?.jobName };
}

const takes = (message: Message, job: Job) => receive(message, job).accepted;

// The chain ROOT → A → B, C beside B, D after B; what is right by the comments of klio.proto, which Klio itself does not do.
describe("a message whose input is missing", () => {
  it("for everyone resumes where it was first missed, and keeps to the way there", () => {
    const message = requestMessage({ element: "x" });
    expect(takes(message, B)).toBe(true);
    askParent(message, A, B);
    expect(recipients(message)).toEqual({ for: ["a", "b"], resume: "b" });
    expect(takes(message, A)).toBe(true);
    askParent(message, ROOT, A);
    expect(recipients(message)).toEqual({ for: ["a", "b", "root"], resume: "b" });
    expect([takes(message, ROOT), takes(message, A)]).toEqual([true, true]);
    expect(recipients(message)).toEqual({ for: ["a", "b", "root"], resume: "b" });
    expect(takes(message, C)).toBe(false);
    expect(takes(message, B)).toBe(true);
    expect(recipients(message)).toBe("anyone");
    expect(takes(message, D)).toBe(true);
  });

  it("for one job stays with that job and those that it needs", () => {
    const message = requestMessage({ element: "x", target: B });
    expect(takes(message, B)).toBe(true);
    askParent(message, A, B);
    expect(recipients(message)).toEqual({ for: ["a", "b"], resume: undefined });
    expect([takes(message, A), takes(message, C), takes(message, B)]).toEqual([true, false, true]);
    expect(takes(message, D)).toBe(false);
  });

  it("names nobody twice", () => {
    const message = requestMessage({ element: "x", target: B });
    askParent(message, A, B);
    askParent(message, A, B);
    expect(recipients(message)).toEqual({ for: ["a", "b"], resume: undefined });
  });

  it("is known when it comes back, by the audit log", () => {
    const message = requestMessage({ element: "x" });
    appendAudit(message, B);
    appendAudit(message, A);
    expect(timesTaken(message, B)).toBe(1);
    appendAudit(message, B);
    expect(timesTaken(message, B)).toBe(2);
    expect(timesTaken(message, { ...B, gcpProject: "other" })).toBe(0);
  });
});
