"""csrc/declare.py: what Cython is told of the C side, from the C headers alone."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

CSRC = Path(__file__).parents[2] / "csrc"


@pytest.fixture(scope="module")
def declare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("declare", CSRC / "declare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_kind_of_declaration(declare: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.h").write_text(
        "#define MOST 4\n#define FEWER (MOST - 1)\n"
        "#define FRUITS(X) \\\n    X(APPLE, apple, 1) /* red */ \\\n    X(PEAR, pear, 2)\n"
        "#define HL_ENUMERATOR(NAME, ...) HL_##NAME,\n"
        "#ifdef T\nstatic vec N(apple)(vec x) { return x; }\n#endif\n"
    )
    header = tmp_path / "one.h"
    header.write_text(
        """
        #ifndef ONE_H
        #define ONE_H
        #include <stddef.h>
#include "other.h"
        typedef enum kind { A, /* first */ B } kind;
        typedef enum fruit { HL_NONE, FRUITS(HL_ENUMERATOR) } fruit;
        typedef struct opaque opaque;
        typedef void (*loop)(const char *x, ptrdiff_t n);
        typedef struct args {
            const char *x, *y; /* two; of one type */
            double option[FEWER];
            void (*kernel)(const void *x, kind k);
        } args;
        const char *const *names(void);
        void take(args given[2], const args *more);
        #endif
        """.replace("        #", "#")
    )
    found = declare.declarations(header)
    assert [line.strip() for line in found.splitlines() if line] == [
        "enum:",
        "MOST",
        "enum:",
        "FEWER",
        "ctypedef enum kind:",
        "A",
        "B",
        "ctypedef enum fruit:",
        "HL_NONE",
        "HL_APPLE",
        "HL_PEAR",
        "ctypedef struct opaque:",
        "pass",
        "ctypedef void (*loop)(const char *x, ptrdiff_t n) noexcept nogil",
        "ctypedef struct args:",
        "const char *x",
        "const char *y",
        "double option[3]",
        "void (*kernel)(const void *x, kind k) noexcept nogil",
        "const char *const *names() noexcept nogil",
        "void take(args *given, const args *more) noexcept nogil",
    ]


def test_what_it_cannot_read_stops_the_build(declare: ModuleType, tmp_path: Path) -> None:
    header = tmp_path / "one.h"
    for text in (
        "typedef union either { int a; float b; } either;",
        "typedef struct bits { int a : 3; } bits;",
        "extern int counter;",
        "#define SIZE sizeof(int)",
        "typedef struct half {",
    ):
        header.write_text(text)
        with pytest.raises(ValueError, match="cannot read"):
            declare.declarations(header)


def test_every_field_of_the_core_s_header_is_declared(declare: ModuleType) -> None:
    found = declare.declarations(CSRC / "hotloop.h")
    text = re.sub(r"/\*.*?\*/", "", (CSRC / "hotloop.h").read_text(), flags=re.DOTALL)
    for struct, body in re.findall(r"typedef struct (\w+) \{(.*?)\}", text, re.DOTALL):
        fields = re.findall(r"(\w+)(?:\[\w+\])?[,;]|\(\*(\w+)\)\(", body)
        (declared,) = re.findall(rf"struct {struct}:\n((?:        .+\n)+)", found)
        for field, pointer in fields:
            assert re.search(rf"\b{field or pointer}\b", declared), f"{struct}.{field}"
    for enum, body in re.findall(r"typedef enum (\w+) \{(.*?)\}", text, re.DOTALL):
        members = re.findall(r"\w+", re.sub(r"\w+\(HL_ENUMERATOR\)", "", body))
        assert f"enum {enum}:\n" + "".join(f"        {m}\n" for m in members) in found
    for enum, first in (("hl_activation", "LINEAR"), ("hl_merge", "ADD")):
        assert re.search(rf"enum {enum}:\n        HL_{first}\n        HL_\w+\n", found)


def test_the_table_has_an_entry_for_each_kernel(declare: ModuleType, tmp_path: Path) -> None:
    header = tmp_path / "one.h"
    header.write_text(
        """
        typedef struct other { void (*loop)(int n); } other;
        typedef struct hl_kernels {
            int vl; /* elements */
            /* y = 2 * x, not (*this)(x) */
            void (*twice)(const void *x, void *y,
                          ptrdiff_t n);
            size_t (*room)(ptrdiff_t rows);
        } hl_kernels;
        """
    )
    assert declare.table(header) == "    .twice = N(twice),\n    .room = N(room),\n"
    declare.main(str(header), str(tmp_path / "kernel_table.h"))
    head, *entries = (tmp_path / "kernel_table.h").read_text().splitlines()
    assert "one.h" in head
    assert len(entries) == 2
    header.write_text("typedef struct other { int a; } other;")
    with pytest.raises(ValueError, match="no struct hl_kernels"):
        declare.table(header)


def test_every_kernel_of_the_core_stands_in_the_table(declare: ModuleType) -> None:
    found = declare.table(CSRC / "hotloop.h").split()
    body = (CSRC / "hotloop.h").read_text().partition("struct hl_kernels {")[2]
    body = re.sub(r"/\*.*?\*/", "", body.partition("} hl_kernels;")[0], flags=re.DOTALL)
    assert body.count("(*") == found.count("=") > 60
