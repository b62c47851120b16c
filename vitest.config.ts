import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "packages/*/test/**/*.test.ts", "examples/*/test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/.klio/**", "**/dist/**"],
    setupFiles: ["test/support/guard-kill.ts"],
    testTimeout: 180_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    disableConsoleIntercept: true,
    // Most suites run real process trees: more of them at once than cores only makes them wait for each other.
    maxWorkers: 2,
  },
});
