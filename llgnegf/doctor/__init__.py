"""`llgnegf doctor`: what this installation and this machine are, whether they compute right, and how fast.

facts.py      versions, threads, BLAS, GPU, memory        checks.py    a self-test against closed forms
rates.py      matrix products, sweeps and memory, timed
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from llgnegf.doctor.checks import Check, self_test
from llgnegf.doctor.facts import all_facts
from llgnegf.doctor.rates import Rate, measured_rates
from llgnegf.electrons.threads import workers_asked_for
from llgnegf.errors import DeckError
from llgnegf.streams import visible

WIDTH = 80


@dataclass(frozen=True)
class Diagnosis:
    """What was found.  facts: (name, words) in order; checks: the self-test; rates: what was timed."""

    facts: list[tuple[str, str]]
    checks: list[Check]
    rates: list[Rate]

    @property
    def is_well(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The same for other programs."""
        return {
            "facts": dict(self.facts),
            "self_test": [check.as_json() for check in self.checks],
            "rates": [rate.as_json() for rate in self.rates],
            "ok": self.is_well,
        }


def diagnose() -> Diagnosis:
    """Looks, tests and times: some ten seconds, and a minute or two more where kernels have to be compiled first.

    Raises DeckError where the environment asks for a number of threads that is none.
    """
    try:
        workers_asked_for()  # before each check fails for it
    except ValueError as error:
        raise DeckError(str(error)) from None
    checks = self_test()  # first: what it compiles does not disturb the clocks, and BLAS is loaded
    return Diagnosis(all_facts(), checks, measured_rates())


def report(found: Diagnosis) -> str:
    """The diagnosis as text of at most 80 columns."""
    lines = [line for name, words in found.facts for line in _wrapped(name, words)]
    lines += ["", f"{'self-test':<42}{'got':>19}{'expected':>19}"]
    for check in found.checks:
        lines += _check(check)
    failed = sum(not check.ok for check in found.checks)
    lines.append(f"{failed} of {len(found.checks)} checks failed" if failed else f"all {len(found.checks)} checks hold")
    lines += ["", "rates (best of some repetitions; one thread where nothing else is said)"]
    lines += [f"  {rate.what:<58}{rate.words:>20}" for rate in found.rates]
    return "\n".join(map(visible, lines))


def _wrapped(name: str, words: str) -> list[str]:
    """A fact, its words in as many lines as they need."""
    first, *more = textwrap.wrap(words, WIDTH - 13, break_on_hyphens=False) or [""]
    return [f"{name:<12} {first}", *(" " * 13 + line for line in more)]


def _check(check: Check) -> list[str]:
    verdict = "ok" if check.ok else "FAILED"
    if check.trouble is not None:
        return [f"{verdict:<8}{check.what}", *(" " * 8 + line for line in textwrap.wrap(check.trouble, WIDTH - 8))]
    return [f"{verdict:<8}{check.what:<34}{check.got:>19.12g}{check.expected:>19.12g}"]
