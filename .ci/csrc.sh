# Builds tests/csrc with any compiler and flags; sourced by .ci/sanitize and .ci/neon.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

# Debian packages that a new machine may lack.
install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
    else
        echo "please install: $*" >&2
        exit 1
    fi
}

# What CMakeLists.txt says where PATTERN (a Perl one) matches, as one line.
in_cmake() {
    tr '\n' ' ' <CMakeLists.txt | grep -oP "$1" | tr '\n' ' ' || {
        echo "CMakeLists.txt has changed: .ci/csrc.sh finds nothing like $1" >&2
        exit 1
    }
}

# kernel_flags ISA MACHINE COMPILER: how CMakeLists.txt compiles kernels/table.c.
kernel_flags() {
    in_cmake 'target_compile_options\(hotloop_\$\{isa\} PRIVATE\K[^$)]*(?=\$\{ARGN\}\))'
    in_cmake "add_kernels\($1\b\K[^)]*"
    if [ "$2" = aarch64 ] && [ "$3" != clang ]; then
        in_cmake 'target_compile_options\(hotloop_\$\{isa\} PRIVATE\K[^$)]*(?=\))'
    fi
}

# build FOLDER COMPILER MACHINE "ISA ..." [FLAG ...]: FOLDER/csrc_tests, by as many processes as
# there are CPUs; the flags given come last. Warnings are errors.
build() {
    local folder=$1 compiler=$2 machine=$3 sets=$4 isa file flags have=() kernels
    shift 4
    local compile=("$compiler" -std=gnu11 -Wall -Wextra -Werror -pthread -Icsrc "-I$folder")
    mkdir -p "$folder"
    python3 csrc/declare.py csrc/hotloop.h "$folder/kernel_table.h"
    for isa in $sets; do
        have+=("-DHL_HAVE_${isa^^}")
        flags=$(kernel_flags "$isa" "$machine" "$compiler")
        read -ra kernels <<<"$flags"
        printf '%q ' "${compile[@]}" "${kernels[@]}" "-DHL_ISA=$isa" -c csrc/kernels/table.c \
            -o "$folder/$isa.o" "$@"
        echo
    done >"$folder/commands"
    for file in csrc/runtime/*.c tests/csrc/*.c; do
        printf '%q ' "${compile[@]}" "${have[@]}" -O3 -c "$file" \
            -o "$folder/$(basename "$file" .c).o" "$@"
        echo
    done >>"$folder/commands"
    xargs -a "$folder/commands" -d '\n' -n 1 -P "$(nproc)" bash -c
    "${compile[@]}" "$folder"/*.o -o "$folder/csrc_tests" -lm "$@"
}

# Instruction sets of CMakeLists.txt that this CPU runs.
runnable_sets() {
    local macros
    macros=$(gcc -march=native -dM -E - </dev/null)
    case $macros in *__AVX512VL__*) echo -n "avx512 " ;; esac
    case $macros in *__AVX2__*) echo -n "avx2 " ;; *__aarch64__*) echo -n "neon " ;; esac
    echo baseline
}
