#!/usr/bin/env bash
# The main job from nothing: sets up .venv, runs a shipped deck, compares it with the exact result and draws it.
# usage: bash runs/first_run.sh [DECK] [FOLDER]      (default: precessing_wall results)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/../.ci/environment.sh"
use_environment

deck="${1:-precessing_wall}"
folder="${2:-results}"
mkdir -p "$folder"
run="$folder/$(basename "$deck" .toml).h5"
llgnegf run "$deck" -o "$run" --overwrite
llgnegf compare "$run"
llgnegf plot "$run"
