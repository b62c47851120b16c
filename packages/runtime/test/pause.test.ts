import { describe, expect, it } from "vitest";
import { Pause } from "../src/supervisor/pause.js";
import { FakeClock } from "../src/testing/fake-clock.js";

function pauseOf(after: number) {
  const told: string[] = [];
  const clock = new FakeClock(0, () => 0);
  const note = (what: string) => () => void told.push(what);
  const pause = new Pause({ after, clock, onPause: note("pause"), onTrial: note("trial"), onResume: note("resume") });
  return { pause, clock, told };
}

describe("a pause", () => {
  it("begins when so many different messages failed in a row, and ends with one that succeeds", async () => {
    const { pause, clock, told } = pauseOf(2);
    expect([pause.failed("a"), pause.failed("a"), pause.failed("b"), pause.failed("c")]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    await clock.advance("16s");
    expect(told).toEqual(["pause", "trial", "trial"]);
    pause.succeeded();
    await clock.advance("10m");
    expect(told.slice(3)).toEqual(["resume"]);
    expect(pause.paused).toBe(false);
  });

  it("lets the next message be tried at once when one came to its end without a word on the others", () => {
    const { pause, told } = pauseOf(1);
    pause.undecided();
    pause.failed("a");
    pause.undecided();
    expect(told).toEqual(["pause", "trial"]);
  });

  it("neither begins nor ends in a job that stops", async () => {
    const { pause, clock, told } = pauseOf(1);
    pause.failed("a");
    pause.close();
    pause.succeeded();
    pause.undecided();
    await clock.advance("10m");
    expect(told).toEqual(["pause"]);
    const other = pauseOf(1);
    other.pause.close();
    expect(other.pause.failed("a")).toBe(true);
    expect(other.told).toEqual([]);
  });
});
