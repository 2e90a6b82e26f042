"""Writes what hotloop.h says already, so that nobody has to write it twice.

    python csrc/declare.py csrc/hotloop.h csrc.pxd
    python csrc/declare.py csrc/hotloop.h kernel_table.h

The one is what Cython needs to know of the C side. The other is the entries of a table of kernels:
for each pointer to a function in hl_kernels, `.name = N(name),`.

Enums, structs, function types and prototypes, and numbers given by #define, as that header and
those that it includes have them. What follows `#ifdef T` is compiled for each element type, and
left out. Members of an enum may stand in a list, a macro that applies another to each of them:
where LIST(X) has X(NAME, ...), LIST(HL_ENUMERATOR) has HL_NAME. It knows no more of C than they
need, and refuses the rest: what it cannot read stops the build.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HEAD = '''"""The C side, as {header} declares it. Written by {script} for this build."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "{header}" nogil:
'''

TABLE_HEAD = "/* The kernels that {header} declares. Written by {script} for this build. */\n"

Numbers = dict[str, int]
Lists = dict[str, list[str]]


def declarations(header: Path) -> str:
    """What the header declares, as the body of a `cdef extern` block.

    Raises
    ------
    ValueError
        At what is none of the kinds above.
    """
    source = _source(header)
    numbers: Numbers = {}
    lists = {
        name: re.findall(r"\bX\((\w+)", body)
        for name, body in re.findall(r"^#define (\w+)\(X\) (.*)$", source, flags=re.MULTILINE)
    }
    blocks = [_declared(part, numbers, lists) for part in _parts(source)]
    return "\n".join("    " + line if line else "" for block in blocks for line in [*block, ""])


def _source(header: Path) -> str:
    """The header without comments, the headers that it includes in their places."""
    text = re.sub(r"/\*.*?\*/", " ", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^#ifdef T$.*", "", text.replace("\\\n", " "), flags=re.DOTALL | re.MULTILINE)

    def included(found: re.Match[str]) -> str:
        return _source(header.parent / found[1])

    return re.sub(r'^#include "(.+)"$', included, text, flags=re.MULTILINE)


def _parts(source: str) -> list[str]:
    """Its definitions and declarations, one by one."""
    lines = source.splitlines()
    defines = [line for line in lines if re.match(r"#define \w+ \S", line)]
    plain = "\n".join(line for line in lines if not line.startswith("#"))
    found = re.findall(r"[^{};]+(?:\{[^}]*\}[^;]*)?;", plain)
    left = re.sub(r"[^{};]+(?:\{[^}]*\}[^;]*)?;", "", plain).strip()
    if left:
        raise ValueError(f"cannot read {left!r}")
    return [*defines, *(" ".join(part.split()) for part in found)]


def _declared(part: str, numbers: Numbers, lists: Lists) -> list[str]:
    """One definition or declaration, in Cython's words."""
    if found := re.fullmatch(r"#define (\w+) (.+)", part):
        numbers[found[1]] = _number(found[2], numbers)
        return ["enum:", f"    {found[1]}"]
    if found := re.fullmatch(r"typedef enum (\w+) \{(.*)\} (\w+);", part):
        members = re.sub(r"(\w+)\(HL_ENUMERATOR\)", lambda m: _members(lists[m[1]]), found[2])
        names = [name.strip() for name in members.split(",") if name.strip()]
        return [f"ctypedef enum {found[1]}:", *(f"    {name}" for name in names)]
    if found := re.fullmatch(r"typedef struct (\w+) \{(.*)\} (\w+);", part):
        fields = [field.strip() for field in found[2].split(";") if field.strip()]
        lines = [line for field in fields for line in _fields(field, numbers)]
        return [f"ctypedef struct {found[1]}:", *(f"    {line}" for line in lines)]
    if found := re.fullmatch(r"typedef struct (\w+) (\w+);", part):
        return [f"ctypedef struct {found[1]}:", "    pass"]
    if found := re.fullmatch(r"typedef (\w.* ?\(\*\w+\)\(.*\));", part):
        return [f"ctypedef {_function(found[1])}"]
    if found := re.fullmatch(r"(\w[\w *]*\(.*\));", part):
        return [_function(found[1])]
    raise ValueError(f"cannot read {part!r}")


def _members(names: list[str]) -> str:
    """The members of an enum that a list stands for."""
    return "".join(f"HL_{name}, " for name in names)


def _number(text: str, numbers: Numbers) -> int:
    """A literal, or a name or two less a literal in parentheses."""
    found = re.fullmatch(r"\(?(\w+)(?: - (\d+))?\)?", text)
    if not found:
        raise ValueError(f"cannot read the number {text!r}")
    first = found[1]
    return (int(first) if first.isdecimal() else numbers[first]) - int(found[2] or 0)


def _fields(text: str, numbers: Numbers) -> list[str]:
    """The fields that one declaration of a struct has, each by itself."""
    if "(" in text:
        return [_function(text)]
    for name, number in numbers.items():
        text = text.replace(f"[{name}]", f"[{number}]")
    found = re.fullmatch(r"((?:const )?\w+) (\**\w+(?:\[\d+\])?(?:, \**\w+(?:\[\d+\])?)*)", text)
    if not found:
        raise ValueError(f"cannot read the field {text!r}")
    return [f"{found[1]} {name}" for name in found[2].split(", ")]


def _function(text: str) -> str:
    """A function or a pointer to one; no C function raises Python's errors."""
    text = re.sub(r"\(void\)$", "()", text)
    text = re.sub(r" (\w+)\[\w+\]", r" *\1", text)  # an array is a pointer to a function
    return f"{text} noexcept nogil"


def table(header: Path) -> str:
    """An entry for each kernel, as an initializer of hl_kernels has it.

    Raises
    ------
    ValueError
        If the header has no such struct.
    """
    found = re.search(r"struct hl_kernels \{([^}]*)\}", _source(header))
    if not found:
        raise ValueError(f"{header} has no struct hl_kernels")
    names = re.findall(r"\(\*(\w+)\)\(", found[1])
    return "".join(f"    .{name} = N({name}),\n" for name in names)


def main(header: str, out: str) -> None:
    names = {"header": Path(header).name, "script": Path(__file__).name}
    if out.endswith(".h"):
        text = TABLE_HEAD.format(**names) + table(Path(header))
    else:
        text = HEAD.format(**names) + declarations(Path(header))
    Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
