"""Only what setup.cfg cannot say: the decks of runs/ travel in the wheel as llgnegf/_decks."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDecks(build_py):
    def run(self):
        super().run()
        if self.editable_mode:  # llgnegf finds runs/ beside itself
            return
        target = Path(self.build_lib) / "llgnegf" / "_decks"
        self.mkpath(str(target))
        for deck in DECKS:
            self.copy_file(deck, str(target / Path(deck).name))

    def get_source_files(self):
        """Names the decks to sdist, so that a wheel can be built from it."""
        return [*super().get_source_files(), *DECKS]


DECKS = sorted(path.as_posix() for path in Path("runs").glob("*.toml"))

setup(cmdclass={"build_py": BuildWithDecks})
