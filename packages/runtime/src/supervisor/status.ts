/** Where a job stands, for whoever decides whether it is well. */
export interface Status {
  /** It takes in messages: connected, not paused, not stopping. */
  readonly ready: boolean;
  readonly state: "starting" | "connecting" | "ready" | "disconnected" | "paused" | "draining";
  /** Why it is not ready; empty when it is. */
  readonly reason: string;
}

/** Collects what speaks against being ready. */
export class Readiness {
  phase: "starting" | "connecting" | "ready" | "draining" = "starting";
  /** Why it waits to connect. */
  waitingFor = "";
  paused = "";
  readonly disconnected = new Set<string>();

  status(): Status {
    const not = (state: Status["state"], reason: string): Status => ({ ready: false, state, reason });
    switch (this.phase) {
      case "starting":
        return not("starting", "no worker is ready yet");
      case "connecting":
        return not(
          "connecting",
          this.waitingFor === "" ? "not every subscription is received from yet" : this.waitingFor,
        );
      case "draining":
        return not("draining", "the job is stopping");
      case "ready":
        break;
    }
    if (this.paused !== "") return not("paused", this.paused);
    if (this.disconnected.size > 0)
      return not("disconnected", `not received from: ${[...this.disconnected].join(", ")}`);
    return { ready: true, state: "ready", reason: "" };
  }
}
