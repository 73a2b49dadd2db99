#!/usr/bin/env bash
# The main job from nothing: sets up .venv, runs a deck, compares it with the exact result where there is one, draws it.
# usage: bash runs/first_run.sh [DECK] [FOLDER] [WALLTIME]      (default: precessing_wall results 5m)
#
# DECK is a name from `llgnegf list` or a TOML file.  What is not done after WALLTIME (90, 90m, 1:30:00, 1-00:00:00) stops
# at a checkpoint; the picture then shows what there is, and `llgnegf resume` goes on.  FOLDER/DECK.h5 is replaced.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/../.ci/environment.sh"
use_environment
trap 'exit 75' INT TERM # after the command that was running, which the same signal has stopped

deck="${1:-precessing_wall}"
folder="${2:-results}"
limit="${3:-5m}"
mkdir -p "$folder"
run="$folder/$(basename "$deck" .toml).h5"

code=0
llgnegf run "$deck" -o "$run" --overwrite --walltime "$limit" || code=$?
case $code in
0) ;;
75) echo "This deck takes longer than $limit; below is what there is by now. To the end: llgnegf resume $run" ;;
*) exit "$code" ;;
esac

code=0
llgnegf compare "$run" || code=$?
case $code in
0) ;;
2) echo "(so there is no table beside an exact result; the picture and \`llgnegf show\` tell more)" ;;
*) exit "$code" ;;
esac

llgnegf plot "$run"
bin="$(dirname "$(command -v llgnegf)")"
echo "The command itself is in $bin: for example $bin/llgnegf show $run"
