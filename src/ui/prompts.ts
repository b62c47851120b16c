import { chalkStderr } from "chalk";
import type { Ask } from "../scaffold/index.js";

/** Asks in the terminal, with the default filled in and the answer checked while it is typed. */
export function askInTerminal(check: (question: Parameters<Ask["text"]>[0], value: string) => true | string): Ask {
  return {
    text: async (question, byDefault) => {
      const { input } = await import("@inquirer/prompts");
      return input(
        {
          message: question.prompt,
          validate: (value) => check(question, value),
          // Red for as long as it is not right yet.
          transformer: (value, { isFinal }) =>
            isFinal || value === "" || check(question, value) === true ? value : chalkStderr.red(value),
          ...(byDefault === undefined ? {} : { default: byDefault }),
        },
        { output: process.stderr },
      );
    },
    confirm: async (message, byDefault) => {
      const { confirm } = await import("@inquirer/prompts");
      return confirm({ message, default: byDefault }, { output: process.stderr });
    },
  };
}

/** Asks which of several; resolves to its value. */
export async function choose(
  message: string,
  choices: readonly { readonly value: string; readonly name: string }[],
): Promise<string> {
  const { select } = await import("@inquirer/prompts");
  return select({ message, choices }, { output: process.stderr });
}
