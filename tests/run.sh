#!/usr/bin/env bash
# The tests from nothing: sets up .venv and runs pytest on all cores.
# usage: bash tests/run.sh [PYTEST ARGUMENTS]        (default: everything that is not marked slow)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/environment.sh
use_environment test

if [ $# -eq 0 ]; then
    set -- -m "not slow"
fi
# Each worker begins with its own share of the files, in their order, and takes from the others' when it is done: what the
# tests of a file share is made once, and seldom do two compile the same kernel.
exec python -m pytest -q -n auto --dist worksteal "$@"
