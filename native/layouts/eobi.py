"""Write the layouts of EOBI as Rust, from the exchange's XML models.

`python native/layouts/eobi.py FOLDER_OF_MODELS [FOLDER_OF_RUST]`; the second is by default where
the wire crate has them. The models are the exchange's and not part of the repository; what is
written from them is checked in, so that a build needs no model.

A model says everything twice: as structures (members in order, types with sizes) and as
application messages (members with offsets). Offsets are computed from the structures, and must be
the application messages', naturally aligned and without a hole; anything else is an error.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

MODELS = {
    "v14_1.rs": "Eurex.T7.Eobi.Fbe.v14.1.xml",
    "v6_0.rs": "Eurex.T7.Eobi.Fbe.v6.0.xml",
}
CHECKED_IN = Path(__file__).parents[1] / "crates/wire/src/eobi/layout"
HEADER = "MessageHeader"
HEADER_LEN = 8
# Plain integers by size and sign.
INTEGERS = {
    (1, False): "U8",
    (2, False): "U16",
    (4, False): "U32",
    (1, True): "I8",
    (4, True): "I32",
    (8, True): "I64",
}
# Release 6.0 types its quantities as plain integers; these names are no quantities there either.
RATIOS = {"LegRatioQty"}


@dataclass(frozen=True)
class Field:
    """A member of a structure: a number or text, a component, or a repeated component."""

    name: str
    at: int
    size: int
    rust_type: str  # empty for components
    entries: tuple[int, int] | None = None
    counter: str = ""


@dataclass(frozen=True)
class Structure:
    """A message, with its template, or a component, without."""

    name: str
    template_id: int | None
    fields: tuple[Field, ...]
    size: int

    @property
    def fixed_len(self) -> int:
        """Bytes in front of the group; all, without one."""
        groups = [field.at for field in self.fields if field.entries]
        return groups[0] if groups else self.size


class ModelError(Exception):
    """The model contradicts itself or has what this tool does not know."""


class Model:
    """The structures of one model, laid out and checked."""

    def __init__(self, path: Path) -> None:
        """Read and check the model of a file."""
        root = ElementTree.parse(path).getroot()
        self.file = path.name
        self.version = root.attrib["version"]
        self.build = root.attrib["buildNumber"]
        self._types = {t.attrib["name"]: t for t in _section(root, "DataTypes")}
        self._elements = {s.attrib["name"]: s for s in _section(root, "Structures")}
        self._laid_out: dict[str, Structure] = {}
        self.messages = [
            self._structure(n) for n, s in self._elements.items() if "numericID" in s.attrib
        ]
        self.messages.sort(key=lambda message: message.template_id or 0)
        names = [n for n in self._elements if n not in {m.name for m in self.messages}]
        self.components = sorted(map(self._structure, names), key=lambda component: component.name)
        for message in _section(root, "ApplicationMessages"):
            self._check(message)

    def _structure(self, name: str) -> Structure:
        if name not in self._laid_out:
            self._laid_out[name] = self._lay_out(self._elements[name])
        return self._laid_out[name]

    def _lay_out(self, element: Element) -> Structure:
        fields = list[Field]()
        at = widest = 0
        for member in element:
            field = self._field(member, at)
            entries = field.entries[1] if field.entries else 1
            at, widest = at + field.size * entries, max(widest, self._alignment(member))
            fields.append(field)
        name = element.attrib["name"]
        template = element.attrib.get("numericID")
        if at % widest:
            raise ModelError(
                f"{name} of {at} bytes is not a multiple of its widest field's {widest}"
            )
        return Structure(name, int(template) if template else None, tuple(fields), at)

    def _field(self, member: Element, at: int) -> Field:
        name, of = member.attrib["name"], member.attrib["type"]
        if at % self._alignment(member):
            raise ModelError(f"{name} at {at} is not aligned")
        if of not in self._elements:
            return Field(name, at, int(self._types[of].attrib["size"]), self._rust_type(name, of))
        most = int(member.attrib["cardinality"])
        if "minCardinality" not in member.attrib and most == 1:
            return Field(name, at, self._structure(of).size, "")
        entries = int(member.attrib["minCardinality"]), most
        return Field(name, at, self._structure(of).size, "", entries, member.attrib["counter"])

    def _alignment(self, member: Element) -> int:
        of = member.attrib["type"]
        if of in self._elements:
            return max(map(self._alignment, self._elements[of]))
        kind = self._types[of].attrib
        return 1 if kind["rootType"] == "String" else int(kind["size"])

    def _rust_type(self, name: str, of: str) -> str:
        """The type of `tickdeck_wire::eobi::layout` that reads a field."""
        kind = self._types[of].attrib
        size, null = int(kind["size"]), kind["noValue"]
        signed = kind.get("minValue", "").startswith("-")
        if kind["rootType"] == "String":
            return "" if of.startswith("Pad") else f"Text<{size}>"
        if null != ("0x80" + "0" * (2 * size - 2) if signed else "0x" + "F" * (2 * size)):
            raise ModelError(f"{name}: {null} is not the null of its type")
        if kind["rootType"] == "floatDecimal":
            return {"8": "Price", "4": "Quantity"}[kind["precision"]]
        if kind["type"] == "UTCTimestamp":
            return "Time"
        if re.search(r"(Qty|Size)$", name) and name not in RATIOS:
            return "WholeQuantity"
        return INTEGERS[size, signed]

    def _check(self, message: Element) -> None:
        """Compare the laid out structure with the offsets of the application message."""
        said = list(_said(message, ""))
        found = list(self._leaves(self._structure(message.attrib["type"]), 0, ""))
        if said != found:
            raise ModelError(f"{message.attrib['name']}: {said} in the message, {found} laid out")

    def _leaves(self, structure: Structure, base: int, prefix: str) -> Iterator[tuple[str, int]]:
        members = self._elements[structure.name]
        for field, member in zip(structure.fields, members, strict=True):
            of, name = member.attrib["type"], prefix + field.name
            if of in self._elements:
                yield from self._leaves(self._structure(of), base + field.at, name + ".")
            else:
                yield name, base + field.at


def rust(model: Model) -> str:
    """The source file of a model."""
    lines = [
        f"//! Layouts of EOBI {model.version}. Written by `native/layouts/eobi.py`: do not edit.",
        "//!",
        f"//! Model `{model.file}`, build {model.build}.",
        "//! A field is named as the exchange names it and stands at its offset in the message, or",
        "//! in the component.",
        '#![allow(missing_docs, reason = "the exchange has the fields\' meanings")]',
        "",
        "use super::*;",
        "",
        "/// Every message, by TemplateID.",
        f"pub const MESSAGES: [Layout; {len(model.messages)}] = [",
        *(f"    {_snake(message.name)}::LAYOUT," for message in model.messages),
        "];",
    ]
    for structure in (*model.messages, *model.components):
        if structure.name != HEADER + "Comp":
            lines += ["", *_module(structure)]
    return "\n".join(lines) + "\n"


def _module(structure: Structure) -> Iterator[str]:
    name = structure.name.removesuffix("Comp")
    yield f"pub mod {_snake(name)} {{"
    yield "    use super::*;"
    yield ""
    if structure.template_id is None:
        yield f"    pub const LEN: usize = {structure.size};"
    else:
        lengths = f"{structure.fixed_len}, {structure.size}"
        yield f"    pub const ID: u16 = {structure.template_id:_};"
        yield f'    pub const LAYOUT: Layout = Layout::new("{name}", ID, {lengths});'
    for field in structure.fields:
        const = _snake(field.name).upper()
        if field.entries:
            least, most = field.entries
            counter = _snake(field.counter).upper()
            yield f"    pub const {const}: Group = Group {{"
            yield f"        at: {field.at},"
            yield f"        counter: {counter},"
            yield f"        entry_len: {field.size},"
            yield f"        least: {least},"
            yield f"        most: {most},"
            yield "    };"
        elif field.rust_type:
            constructor = re.sub("<.*>", "", field.rust_type)
            yield f"    pub const {const}: {field.rust_type} = {constructor}({field.at});"
        elif not field.name.startswith("Pad") and field.name != HEADER:
            yield f"    pub const {const}: usize = {field.at};"
    yield "}"


def _said(element: Element, prefix: str) -> Iterator[tuple[str, int]]:
    for member in element:
        name = prefix + member.attrib.get("name", "")
        if member.tag == "Group":
            yield from _said(member, name + ".")
        elif member.tag == "Member" and member.attrib.get("hidden") != "true":
            yield name, int(member.attrib["offset"])


def _section(root: Element, name: str) -> Element:
    section = root.find(name)
    if section is None:
        raise ModelError(f"the model has no {name}")
    return section


def _snake(name: str) -> str:
    """`TrdRegTSTimePriority` becomes `trd_reg_ts_time_priority`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def main() -> int:
    """Write every release's file."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    models, out = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else CHECKED_IN
    for name, model in MODELS.items():
        (out / name).write_text(rust(Model(models / model)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
