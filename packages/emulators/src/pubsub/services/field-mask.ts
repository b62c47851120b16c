import { clone, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { type FieldMask } from "@bufbuild/protobuf/wkt";
import { invalidArgument, unimplemented } from "../errors.js";

export interface Mutability {
  /** Names of fields that may be changed. */
  readonly mutable: readonly string[];
  /** Names of fields that the service lets change and this emulator does not know. */
  readonly unsupported: readonly string[];
}

/**
 * A copy of `current` with the fields that `mask` names as they are in `patch`. Throws INVALID_ARGUMENT for an empty mask and
 * for a field that does not exist or cannot change, UNIMPLEMENTED for one that is not supported.
 */
export function applyMask<D extends DescMessage>(
  desc: D,
  current: MessageShape<D>,
  patch: MessageShape<D> | undefined,
  mask: FieldMask | undefined,
  { mutable, unsupported }: Mutability,
): MessageShape<D> {
  if (patch === undefined) throw invalidArgument(`the request has no ${desc.name}`);
  if (mask === undefined || mask.paths.length === 0) throw invalidArgument("update_mask must name at least one field");
  const result = clone(desc, current);
  for (const path of mask.paths) {
    const [root = "", ...rest] = path.split(".");
    if (!desc.fields.some((field) => field.name === root)) {
      throw invalidArgument(`update_mask: ${desc.name} has no field ${path}; paths have the form push_config`);
    }
    if (unsupported.includes(root)) throw unimplemented(`this emulator does not support ${desc.name}.${root}`);
    if (!mutable.includes(root)) throw invalidArgument(`update_mask: ${desc.name}.${root} cannot be changed`);
    setField(reflect(desc, result), reflect(desc, patch), [root, ...rest], path);
  }
  return result;
}

function setField(target: ReflectMessage, source: ReflectMessage, path: readonly string[], whole: string): void {
  const [name, ...rest] = path;
  const field = target.desc.fields.find((f) => f.name === name);
  if (field === undefined) throw invalidArgument(`update_mask: there is no field ${whole}`);
  if (rest.length === 0) {
    if (source.isSet(field)) target.set(field, source.get(field));
    else target.clear(field);
    return;
  }
  if (field.fieldKind !== "message") throw invalidArgument(`update_mask: ${whole} leads into a field without fields`);
  const inner = target.get(field);
  setField(inner, source.get(field), rest, whole);
  target.set(field, inner);
}
