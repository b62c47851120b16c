import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
  visit,
} from "yaml";
import type { Diagnostic } from "./diagnostic.js";

export type Path = readonly (string | number)[];
/** Reports a problem at a path of the file; `key` points at the key rather than its value. */
export type Report = (problem: {
  severity?: "error" | "warning";
  code: string;
  message: string;
  hint?: string;
  path: Path;
  key?: string;
}) => void;

/** How many nodes the aliases of a file may stand for: a file that unfolds into more is refused. */
const maxAliases = 1_000;

/** A parsed YAML file that knows where everything in it stands. */
export class YamlSource {
  readonly diagnostics: Diagnostic[] = [];
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(
    readonly file: string,
    text: string,
  ) {
    this.#document = parseDocument(text, { merge: true, lineCounter: this.#lines, prettyErrors: false });
    for (const error of this.#document.errors) {
      this.#add("error", "CONFIG_SYNTAX", error.message.split("\n")[0] ?? "", undefined, error.pos[0], []);
    }
  }

  get failed(): boolean {
    return this.diagnostics.some((d) => d.severity === "error");
  }

  readonly report: Report = ({ severity = "error", code, message, hint, path, key }) => {
    this.#add(severity, code, message, hint, this.#offset(path, key), key === undefined ? path : [...path, key]);
  };

  /** Puts template values in the place of `$name` and `${name}`, in keys and values. `$$` is a dollar. */
  substitute(values: ReadonlyMap<string, string>): void {
    visit(this.#document, {
      Scalar: (_, node) => {
        if (typeof node.value !== "string" || !node.value.includes("$")) return;
        const replaced = node.value.replace(
          /\$(?:\$|\{(\w+)\}|([A-Za-z_]\w*))/g,
          (whole, braced?: string, bare?: string) => {
            const name = braced ?? bare;
            if (name === undefined) return "$";
            const value = values.get(name);
            if (value === undefined) this.#unknownTemplate(name, node, values);
            return value ?? whole;
          },
        );
        node.value = node.type === Scalar.PLAIN ? retype(replaced) : replaced;
      },
    });
  }

  toJS(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: maxAliases });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#add("error", "CONFIG_SYNTAX", message, undefined, 0, []);
      return {};
    }
  }

  #unknownTemplate(name: string, node: Node, values: ReadonlyMap<string, string>): void {
    const known = values.size === 0 ? "" : ` Known: ${[...values.keys()].join(", ")}.`;
    const hint = `Give it a value: --template ${name}=VALUE. A literal dollar is written $$.${known}`;
    this.#add("error", "CONFIG_TEMPLATE", `template value "${name}" is not given`, hint, node.range?.[0], []);
  }

  #offset(path: Path, key: string | undefined): number | undefined {
    for (let length = path.length; length >= 0; length -= 1) {
      const node = length === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, length), true);
      if (!isNode(node)) continue;
      if (key !== undefined && length === path.length && isMap(node)) {
        const pair = node.items.find((p) => isPair(p) && isScalar(p.key) && String(p.key.value) === key);
        if (isNode(pair?.key)) return pair.key.range?.[0];
      }
      return node.range?.[0];
    }
    return 0;
  }

  #add(
    severity: "error" | "warning",
    code: string,
    message: string,
    hint: string | undefined,
    offset: number | undefined,
    path: Path,
  ): void {
    const at = this.#lines.linePos(offset ?? 0);
    this.diagnostics.push({
      severity,
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      file: this.file,
      line: Math.max(at.line, 1),
      column: Math.max(at.col, 1),
      path: path.join("."),
    });
  }
}

/** The value YAML gives a plain scalar: 5 is a number, true a boolean. What is more than a plain scalar stays text. */
export function retype(text: string): unknown {
  const document = parseDocument(text);
  const { contents } = document;
  if (document.errors.length > 0 || !isScalar(contents)) return text;
  const whole = contents.type === Scalar.PLAIN && contents.source === text && contents.tag === undefined;
  return whole && contents.value !== null ? contents.value : text;
}
