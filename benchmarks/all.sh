#!/usr/bin/env bash
# Everything at once: benchmarks/all.sh [FOLDER] [--quick]
# Tables, figures and charts go to FOLDER, benchmarks/results if none is given.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/results}
options=("${@:2}")
python=${PYTHON:-python3}
cores=$("$python" -c 'import os; print(os.cpu_count())')
mkdir -p "$folder"
stem=$(cd "$folder" && pwd)/$(date +%F)

# measure NAME ARGUMENTS...: one script, its table shown and kept.
measure() {
    local name=$1
    shift
    printf '\n== %s\n' "$name" >&2
    "$python" "$here/$name.py" "$@" "${options[@]}" | tee "$stem-$name.md"
}

measure run --threads 1 "$cores" --json "$stem-run.json" --chart "$stem-run.png"
measure products --threads 1 "$cores" --json "$stem-products.json"
measure sweep --json "$stem-sweep.json" --chart "$stem-sweep.png"
measure calls --json "$stem-calls.json"
measure imports --json "$stem-imports.json"
measure sklearn_mlp --json "$stem-sklearn_mlp.json"
measure own_activation --json "$stem-own_activation.json"
measure programs --json "$stem-programs.json"
