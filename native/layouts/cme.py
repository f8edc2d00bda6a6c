"""Write the layouts of CME MDP 3.0 as Rust, from the exchange's SBE schemas.

`python native/layouts/cme.py FOLDER_OF_SCHEMAS [FOLDER_OF_RUST]`; the second is by default where
the wire crate has them. The schemas are the exchange's and not part of the repository; what is
written from them is checked in, so that a build needs no schema.

A schema says the offset of every field and the length of every block. Both must agree: fields may
not overlap and may not reach beyond their block; anything else is an error. Definitions of
instruments, which are long, have files of their own, and so have the messages with prices in 10^-9,
which came with version 9.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SCHEMAS = {"v6": "Cme.Futures.Mdp3.Sbe.v1.6.xml", "v9": "Cme.Futures.Mdp3.Sbe.v1.9.xml"}
CHECKED_IN = Path(__file__).parents[1] / "crates/wire/src/cme/layout"
DEFINITIONS = "MDInstrumentDefinition"
# Messages since this version have prices in 10^-9.
NINE = 9
SIZES = {
    **{"char": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2},
    **{"int32": 4, "uint32": 4, "int64": 8, "uint64": 8},
}
# The value of a field that has none, by type; a schema with another is an error.
NULLS = {kind: 2 ** (8 * size - (kind[0] == "i")) - 1 for kind, size in SIZES.items()}
DIMENSIONS = {"groupSize": "Short", "groupSize8Byte": "Aligned"}


@dataclass(frozen=True)
class Kind:
    """What a type of the schema is in `tickdeck_wire::cme::layout`."""

    rust_type: str
    size: int
    # Of a constant, which has no place on the wire: its Rust type and value.
    constant: tuple[str, str] | None = None


@dataclass(frozen=True)
class Field:
    """A field of a block."""

    name: str
    at: int
    kind: Kind
    since: int


@dataclass(frozen=True)
class Block:
    """A message with its template, or a group of one without."""

    name: str
    template_id: int | None
    length: int
    since: int
    fields: tuple[Field, ...]
    groups: tuple["Block", ...] = ()
    dimension: str = ""


class SchemaError(Exception):
    """The schema contradicts itself or has what this tool does not know."""


class Schema:
    """The messages of one schema, laid out and checked."""

    def __init__(self, path: Path) -> None:
        """Read and check the schema of a file."""
        root = ElementTree.parse(path).getroot()
        self.file, self.attributes = path.name, root.attrib
        types = root.find("types")
        if types is None:
            raise SchemaError("the schema has no types")
        self._types = {element.attrib["name"]: element for element in types}
        for dimension in DIMENSIONS:
            self._check_dimension(self._types[dimension])
        messages = (e for e in root if e.tag.endswith("}message"))
        self.messages = sorted(map(self._block, messages), key=lambda m: m.template_id or 0)

    def _block(self, element: Element) -> Block:
        name, length = element.attrib["name"], int(element.attrib["blockLength"])
        fields, end = list[Field](), 0
        for member in element.findall("field"):
            kind = self._kind(member.attrib["type"])
            if kind.constant:
                at = 0
            else:
                at = int(member.attrib["offset"])
                if at < end:
                    raise SchemaError(f"{name}: {member.attrib['name']} at {at} overlaps")
                end = at + kind.size
            since = int(member.attrib.get("sinceVersion", 0))
            fields.append(Field(member.attrib["name"], at, kind, since))
        if end > length:
            raise SchemaError(f"{name}: fields of {end} bytes in a block of {length}")
        unknown = {e.tag for e in element} - {"field", "group"}
        if unknown or (element.tag == "group" and element.find("group") is not None):
            raise SchemaError(f"{name}: {unknown or 'a group'} in it is not known")
        groups = tuple(self._block(group) for group in element.findall("group"))
        since = int(element.attrib.get("sinceVersion", 0))
        if element.tag == "group":
            dimension = DIMENSIONS[element.attrib["dimensionType"]]
            return Block(name, None, length, since, tuple(fields), (), dimension)
        template_id = int(element.attrib["id"])
        if not name.endswith(str(template_id)):
            raise SchemaError(f"{name} is not named by its id {template_id}")
        return Block(name, template_id, length, since, tuple(fields), groups)

    def _kind(self, name: str) -> Kind:
        element = self._types.get(name)
        if element is None:
            return self._number(name, {"presence": "required"})
        if element.tag in ("enum", "set"):
            return self._kind(element.attrib["encodingType"])
        if element.tag == "composite":
            return self._composite(name, element)
        if element.attrib.get("presence") == "constant":
            return _constant(element)
        if length := int(element.attrib.get("length", 0)):
            return Kind(f"Text<{length}>", length)
        return self._number(element.attrib["primitiveType"], element.attrib)

    def _number(self, primitive: str, attributes: dict[str, str]) -> Kind:
        signed = "I" if primitive.startswith("int") else "U"
        size = SIZES[primitive]
        rust_type = f"{signed}{8 * size}"
        if attributes.get("presence") != "optional":
            return Kind(rust_type, size)
        if int(attributes["nullValue"]) != NULLS[primitive]:
            raise SchemaError(f"{attributes['nullValue']} is not the null of {primitive}")
        return Kind("Opt" + rust_type, size)

    def _composite(self, name: str, element: Element) -> Kind:
        if name == "MaturityMonthYear":
            parts = [self._number(p.attrib["primitiveType"], p.attrib) for p in element]
            if [part.rust_type for part in parts] != ["OptU16", "OptU8", "OptU8", "OptU8"]:
                raise SchemaError(f"{name} is not year, month, day, week")
            return Kind("Maturity", sum(part.size for part in parts))
        mantissa, exponent = element
        if (mantissa.attrib["name"], exponent.attrib["name"]) != ("mantissa", "exponent"):
            raise SchemaError(f"{name} is neither a decimal nor a date")
        number = self._number(mantissa.attrib["primitiveType"], mantissa.attrib)
        rust_type = {"I64": "Decimal", "OptI64": "OptDecimal", "OptI32": "OptDecimal32"}
        return Kind(f"{rust_type[number.rust_type]}<{exponent.text}>", number.size)

    def _check_dimension(self, element: Element) -> None:
        length, count = element
        at = int(count.attrib.get("offset", SIZES[length.attrib["primitiveType"]]))
        expected = {"groupSize": 2, "groupSize8Byte": 7}[element.attrib["name"]]
        types = (length.attrib["primitiveType"], count.attrib["primitiveType"])
        if at != expected or types != ("uint16", "uint8"):
            raise SchemaError(f"{element.attrib['name']} is not as it was")


def rust(schema: Schema, module: str) -> dict[str, str]:
    """The source files of a schema."""
    homes = {module: list[Block]()}
    rows = list[str]()
    for message in schema.messages:
        home = _home(message, module)
        homes.setdefault(home, []).append(message)
        path = "" if home == module else f"{home}::"
        rows.append(f"    {path}{_snake(message.name)}::LAYOUT,")
    table = [
        "/// Every message, by template.",
        f"pub const MESSAGES: [Message; {len(rows)}] = [",
        *rows,
        "];",
    ]
    files = dict[str, str]()
    for home, messages in homes.items():
        others = sorted(homes.keys() - {module})
        if home != module:
            text = _file(schema, [GLOB], [], messages)
        elif len(others) == 1:
            text = _file(schema, [f"use super::{others[0]};", GLOB], table, messages)
        else:
            text = _file(schema, [GLOB, f"use super::{{{', '.join(others)}}};"], table, messages)
        files[f"{home}.rs"] = text
    return files


def _home(message: Block, module: str) -> str:
    """The module of a message: a file is short, and one for each scale of prices."""
    scale = "_nine" if message.since >= NINE else ""
    return f"{module}{scale}{'_definitions' if message.name.startswith(DEFINITIONS) else ''}"


GLOB = "use super::*;"


def check_appended(older: Schema, newer: Schema) -> None:
    """Messages are read by the newer schema: it may only append to what the older one has."""
    found = {message.template_id: message for message in newer.messages}
    for message in older.messages:
        if message.template_id in found:
            _check_block(message, found[message.template_id])


def _check_block(older: Block, newer: Block) -> None:
    fields = [field for field in newer.fields if not _is_appended(field, older)]
    names = [(field.name, field.at, field.kind) for field in older.fields]
    if names != [(field.name, field.at, field.kind) for field in fields]:
        raise SchemaError(f"{older.name}: fields changed")
    if (older.length, older.dimension) != (newer.length, newer.dimension):
        raise SchemaError(f"{older.name}: blocks changed")
    for old, new in zip(older.groups, newer.groups, strict=False):
        if old.name != new.name:
            raise SchemaError(f"{older.name}: groups changed")
        _check_block(old, new)


def _is_appended(field: Field, older: Block) -> bool:
    ends = [known.at + known.kind.size for known in older.fields if not known.kind.constant]
    names = {known.name for known in older.fields}
    return field.name not in names and field.at >= max(ends, default=0)


def _file(schema: Schema, uses: list[str], table: list[str], messages: list[Block]) -> str:
    version, description = schema.attributes["version"], schema.attributes["description"]
    lines = [
        f"//! Layouts of MDP 3.0, version {version}. Written by `native/layouts/cme.py`: do not",
        "//! edit.",
        "//!",
        f"//! Schema `{schema.file}` of {description}.",
        "//! A field is named as the exchange names it and stands at its offset in its block.",
        '#![allow(missing_docs, reason = "the exchange has the fields\' meanings")]',
        "",
        *uses,
    ]
    if table:
        lines += ["", *table]
    for message in messages:
        lines += ["", *_message(message)]
    return "\n".join(lines) + "\n"


def _message(message: Block) -> Iterator[str]:
    name = message.name.removesuffix(str(message.template_id))
    yield f"pub mod {_snake(message.name)} {{"
    yield "    use super::*;"
    yield ""
    yield f"    pub const ID: u16 = {message.template_id};"
    yield "    pub const LAYOUT: Message = Message {"
    yield f'        name: "{name}",'
    yield "        template_id: ID,"
    yield f"        root_len: {message.length},"
    groups = [f"{_snake(group.name)}::GROUP" for group in message.groups]
    line = f"        groups: &[{', '.join(groups)}],"
    if len(line) - len("        groups: &") - 1 <= 60:
        yield line
    else:
        yield "        groups: &["
        yield from (f"            {group}," for group in groups)
        yield "        ],"
    yield "    };"
    yield from _fields(message.fields, "    ")
    for group in message.groups:
        yield ""
        yield f"    pub mod {_snake(group.name)} {{"
        yield "        use super::*;"
        yield ""
        yield "        pub const GROUP: Group = Group {"
        yield f'            name: "{group.name}",'
        yield f"            dimension: Dimension::{group.dimension},"
        yield f"            entry_len: {group.length},"
        yield f"            since: {group.since},"
        yield "        };"
        yield from _fields(group.fields, "        ")
        yield "    }"
    yield "}"


def _fields(fields: tuple[Field, ...], indent: str) -> Iterator[str]:
    for field in fields:
        const = _snake(field.name).upper()
        if field.kind.constant:
            of, value = field.kind.constant
            yield f"{indent}pub const {const}: {of} = {value};"
            continue
        if field.since > 6:
            yield f"{indent}/// Since version {field.since}."
        constructor = re.sub("<.*>", "", field.kind.rust_type)
        yield f"{indent}pub const {const}: {field.kind.rust_type} = {constructor}({field.at});"


def _constant(element: Element) -> Kind:
    value, primitive = element.text or "", element.attrib["primitiveType"]
    if primitive == "char":
        return Kind("", 0, ("u8", f"b'{value}'"))
    return Kind("", 0, (primitive.replace("int", "i"), value))


def _snake(name: str) -> str:
    """`MDEntryPx` becomes `md_entry_px`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def main() -> int:
    """Write every version's files."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    schemas, out = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else CHECKED_IN
    read = {module: Schema(schemas / file) for module, file in SCHEMAS.items()}
    check_appended(read["v6"], read["v9"])
    for module, schema in read.items():
        for name, text in rust(schema, module).items():
            (out / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
