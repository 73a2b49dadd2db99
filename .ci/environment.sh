# Sourced by runs/first_run.sh, tests/run.sh and .ci/run: makes .venv with the project in it and puts it on PATH.
# usage: use_environment [EXTRA]     (an extra of setup.cfg, for example "test")
use_environment() {
    local root extra="${1:-}" python="" candidate stamp
    root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            python="$candidate"
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "llgnegf needs Python >= 3.11; none was found (set PYTHON=/path/to/python3.12 to name one)" >&2
        return 1
    fi
    stamp="$root/.venv/.installed-${extra:-plain}-$(cksum <"$root/setup.cfg" | cut -d' ' -f1)"
    if [ ! -e "$stamp" ]; then
        echo "setting up $root/.venv (once; a minute or two) ..." >&2
        if ! "$python" -m venv "$root/.venv"; then
            echo "could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
            return 1
        fi
        "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root${extra:+[$extra]}" || return 1
        touch "$stamp"
    fi
    PATH="$root/.venv/bin:$PATH"
    # One BLAS thread each: energies and tests are what is spread over the cores.
    export PATH OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
}
