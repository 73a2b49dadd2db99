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
# Groups (pytest.mark.xdist_group) are tests that share a costly run: one worker makes it and has them all.
exec python -m pytest -q -n auto --dist loadgroup "$@"
