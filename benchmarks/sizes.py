"""What the compiled core weighs: each family of kernels for each instruction set and type.

python -m build --wheel -C build-dir=build/sizes --outdir dist .
python benchmarks/sizes.py build/sizes dist/hotloop-*.whl [--json FILE]

Reads a Linux build's objects with binutils (`nm`, `readelf`); the wheel is where they end up. A
family is a header of csrc/kernels, and a function's bytes are those of its symbol:

- Code that compilers inline counts where it was inlined. So `vector` and `functions` do not show,
  and `narrow` hardly.
- Constants that an object's functions share, the tables for unwinding the stack, and functions that
  the compiler names after none of ours are given by instruction set alone.
- Compression finds repetitions across functions and headers, so only whole objects and files have
  a compressed size, and an object's own is a few percent more than its share in the wheel.
"""

from __future__ import annotations

import argparse
import collections
import re
import subprocess
import zipfile
import zlib
from pathlib import Path

import machine
import report

KERNELS = Path(__file__).parents[1] / "csrc" / "kernels"
TYPES = ("f32", "f64")
REST = SHARED, UNWINDING, UNKNOWN = "shared constants", "unwinding", "not attributed"

Sizes = collections.Counter[tuple[str, str]]  # bytes of (family, type)


# -------------------------------------------------------------------------------- objects


def run(*command: str | Path) -> list[str]:
    """The lines that a tool prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def sections(file: Path) -> dict[str, bytes]:
    """What of an object is loaded into memory, by section."""
    content = file.read_bytes()
    found = {}
    for line in run("readelf", "--sections", "--wide", file):
        # [number] name type address offset size entry flags ...
        name, kind, _, offset, size, _, flags, *_ = (*line.partition("]")[2].split(), *[""] * 7)
        if kind in ("PROGBITS", "X86_64_UNWIND") and "A" in flags:
            start = int(offset, 16)
            found[name] = content[start : start + int(size, 16)]
    return found


def symbols(file: Path) -> list[tuple[str, int]]:
    """Functions and arrays of an object, the static ones too, with their bytes."""
    lines = [line.split() for line in run("nm", "--print-size", file)]
    return [(line[3], int(line[1], 16)) for line in lines if len(line) == 4 and line[2] not in "bB"]


def deflated(content: bytes) -> int:
    """Bytes as a wheel holds them."""
    return len(zlib.compress(content))


# ------------------------------------------------------------------------------- families


def families() -> list[tuple[re.Pattern[str], str]]:
    """What the functions and arrays of each header are called."""
    found = []
    for header in sorted(KERNELS.glob("*.h")):
        text = header.read_text()
        names = set(
            re.findall(r"^(?:static|const) [^;={]*?\bN\((\w+)\)\)?[(\[]", text, re.MULTILINE)
        )
        names |= set(re.findall(r"\bN\((\w*##[\w#]+)\)", text))  # made by macros
        for name in names:
            parts = name.split("##")
            parts[1::2] = [r"\w+"] * len(parts[1::2])  # what the macro is given
            found.append((re.compile("".join(parts)), header.stem))
    return found


def family_of(symbol: str, known: list[tuple[re.Pattern[str], str]]) -> tuple[str, str]:
    """Family and type of a symbol such as hl_pack_f32.constprop.0."""
    name, _, kind = symbol.partition(".")[0].removeprefix("hl_").rpartition("_")
    if name.startswith("kernels_"):
        return "table", kind
    for pattern, family in known:
        if pattern.fullmatch(name) and kind in TYPES:
            return family, kind
    return UNKNOWN, ""


def kernel_sizes(file: Path, known: list[tuple[re.Pattern[str], str]]) -> Sizes:
    """Bytes of each family and type in the object of an instruction set."""
    sizes: Sizes = collections.Counter()
    for symbol, size in symbols(file):
        sizes[family_of(symbol, known)] += size
    loaded = sections(file)
    sizes[UNWINDING, ""] = len(loaded.pop(".eh_frame", b""))
    sizes[SHARED, ""] = sum(map(len, loaded.values())) - sum(sizes.values()) + sizes[UNWINDING, ""]
    return sizes


# --------------------------------------------------------------------------------- tables


def kernel_tables(objects: dict[str, Path]) -> tuple[str, dict[str, dict[str, int]]]:
    """Bytes of each family for each instruction set and type; then what is left, and the sums."""
    known = families()
    sizes = {isa: kernel_sizes(file, known) for isa, file in objects.items()}
    totals: Sizes = sum(sizes.values(), collections.Counter())
    weights = {family: sum(totals[family, kind] for kind in TYPES) for family, _ in totals}
    columns = [(isa, kind) for isa in objects for kind in TYPES]
    rows = [
        [family, *(f"{sizes[isa][family, kind]:,}" for isa, kind in columns), f"{weight:,}"]
        for family, weight in sorted(weights.items(), key=lambda item: -item[1])
        if weight
    ]
    head = ["bytes", *(f"{isa} {kind}" for isa, kind in columns), "all"]
    by_family = report.table(head, rows)

    left = {name: [sizes[isa][name, ""] for isa in objects] for name in REST}
    left["**whole object**"] = [sum(of_isa.values()) for of_isa in sizes.values()]
    left["**compressed**"] = [
        deflated(b"".join(sections(file).values())) for file in objects.values()
    ]
    rows = [[name, *map("{:,}".format, row), f"{sum(row):,}"] for name, row in left.items()]
    figures = {
        isa: {" ".join(key).strip(): size for key, size in sorted(of_isa.items())}
        for isa, of_isa in sizes.items()
    }
    return f"{by_family}\n\n{report.table(['bytes', *objects, 'all'], rows)}", figures


def wheel_table(build: Path, wheel: Path) -> tuple[str, dict[str, dict[str, int]]]:
    """What the files of a wheel weigh in it, and what is in the extension modules."""
    figures = {}
    others = {"Python": [0, 0], "metadata": [0, 0]}
    for entry in zipfile.ZipFile(wheel).infolist():
        if entry.filename.endswith(".so"):
            name = Path(entry.filename).name.partition(".")[0]
            own = build / "CMakeFiles" / f"{name}.dir" / f"{name}.c.o"
            figures[name] = {
                "cython": sum(map(len, sections(own).values())),
                "bytes": entry.file_size,
                "in the wheel": entry.compress_size,
            }
        else:
            sums = others["Python" if entry.filename.endswith(".py") else "metadata"]
            sums[0] += entry.file_size
            sums[1] += entry.compress_size
    rows = [
        [name, *(f"{size[key]:,}" for key in ("cython", "bytes", "in the wheel"))]
        for name, size in sorted(figures.items(), key=lambda item: -item[1]["in the wheel"])
    ]
    for name, (plain, packed) in others.items():
        rows.append([name, "", f"{plain:,}", f"{packed:,}"])
        figures[name] = {"bytes": plain, "in the wheel": packed}
    whole = wheel.stat().st_size
    rows.append(["**whole wheel**", "", "", f"{whole:,}"])
    figures["whole wheel"] = {"in the wheel": whole}
    return report.table(["", "of that, Cython", "bytes", "in the wheel"], rows), figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", type=Path, help="CMake's build folder")
    parser.add_argument("wheel", type=Path, help="the wheel that was built there")
    parser.add_argument("--json", type=report.output, metavar="FILE", help="write every figure")
    options = parser.parse_args()
    objects = {
        re.search(r"hotloop_(\w+)\.dir", str(file))[1]: file
        for file in sorted(options.build.glob("CMakeFiles/hotloop_*.dir/csrc/kernels/table.c.o"))
    }
    if not objects:
        parser.error(f"{options.build} holds no kernels: build with -C build-dir={options.build}")
    kernels, of_kernels = kernel_tables(objects)
    files, of_files = wheel_table(options.build, options.wheel)
    print(f"{report.caption(machine.describe())}, {compiler(options.build)}")
    print(f"\n{kernels}\n\n{files}")
    if options.json:
        report.save(
            options.json, compiler=compiler(options.build), kernels=of_kernels, wheel=of_files
        )


def compiler(build: Path) -> str:
    """The C compiler of a build."""
    command = re.search(
        r"^CMAKE_C_COMPILER:\w+=(.+)$", (build / "CMakeCache.txt").read_text(), re.M
    )
    return run(command[1], "--version")[0]


if __name__ == "__main__":
    main()
