/** Paths as the tree that `tree` would draw. */
export function drawTree(root: string, paths: readonly string[]): string {
  return [root, ...branch(paths.map((p) => p.split("/")))].join("\n");
}

function branch(paths: readonly (readonly string[])[], indent = ""): string[] {
  const names = [...new Set(paths.map(([first = ""]) => first))];
  return names.flatMap((name, i) => {
    const last = i === names.length - 1;
    const below = paths.filter(([first, ...rest]) => first === name && rest.length > 0).map(([, ...rest]) => rest);
    return [`${indent}${last ? "└── " : "├── "}${name}`, ...branch(below, `${indent}${last ? "    " : "│   "}`)];
  });
}
