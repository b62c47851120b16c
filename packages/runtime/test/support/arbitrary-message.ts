import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import fc from "fast-check";

export interface Sizes {
  /** Characters of a string, bytes of a `bytes` field. */
  readonly text: number;
  /** Entries of a repeated field or a map. */
  readonly entries: number;
}

/** Any message of a type that does not contain itself: every field, every case of a oneof, present or not. */
export function arbitraryMessage<Desc extends DescMessage>(
  schema: Desc,
  sizes: Sizes,
): fc.Arbitrary<MessageShape<Desc>> {
  return initOf(schema, sizes).map((init) => create(schema, init as never));
}

function initOf(schema: DescMessage, sizes: Sizes): fc.Arbitrary<Record<string, unknown>> {
  const parts: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of schema.members) {
    parts[member.localName] =
      member.kind === "oneof"
        ? fc.oneof(
            fc.constant({ case: undefined }),
            ...member.fields.map((field) => valueOf(field, sizes).map((value) => ({ case: field.localName, value }))),
          )
        : optional(member, sizes);
  }
  return fc.record(parts, { requiredKeys: [] });
}

/** An absent message is `undefined`; an absent scalar is the type's zero. */
function optional(field: DescField, sizes: Sizes): fc.Arbitrary<unknown> {
  const value = valueOf(field, sizes);
  return field.fieldKind === "message" ? fc.option(value, { nil: undefined }) : value;
}

function valueOf(field: DescField, sizes: Sizes): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return scalar(field.scalar, sizes);
    case "enum":
      return enumValue(field.enum);
    case "message":
      return initOf(field.message, sizes);
    case "list":
      return fc.array(
        field.listKind === "message"
          ? initOf(field.message, sizes)
          : field.listKind === "enum"
            ? enumValue(field.enum)
            : scalar(field.scalar, sizes),
        { maxLength: sizes.entries },
      );
    case "map":
      if (field.mapKind !== "scalar") throw new Error(`${field.name}: maps of ${field.mapKind} are not made here yet`);
      return fc.dictionary(text(sizes), scalar(field.scalar, sizes), { maxKeys: sizes.entries });
  }
}

/** Also numbers that no name belongs to: a newer peer may send them. */
function enumValue(of: DescEnum): fc.Arbitrary<number> {
  return fc.oneof(fc.constantFrom(...of.values.map((v) => v.number)), fc.integer({ min: 0, max: 2 ** 31 - 1 }));
}

function text(sizes: Sizes): fc.Arbitrary<string> {
  return fc.string({ unit: "binary", maxLength: sizes.text });
}

function scalar(type: ScalarType, sizes: Sizes): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return text(sizes);
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: sizes.text });
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
      return fc.double();
    case ScalarType.UINT32:
      return fc.nat(2 ** 32 - 1);
    case ScalarType.INT32:
      return fc.integer();
    case ScalarType.UINT64:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    default:
      throw new Error(`fields of type ${ScalarType[type]} are not made here yet`);
  }
}
