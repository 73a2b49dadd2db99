"""The packages `textures` and `integrators` that lie beside this one, whatever else has their names.

`from llgnegf.beside import textures` looks in the folder that holds llgnegf and nowhere else.  `import textures` would
take a user's own textures.py from the current folder, or what the user's program has imported under that name before.
The modules are known as llgnegf.beside.textures and so on: pickles and kept kernels find them by these names, and a
user's own `textures` stays what it is.
"""

from pathlib import Path

# A package may say where its modules are.  The first place is where this file is in truth: it may be linked to from a
# folder in which other packages have these names.
__path__ = list(dict.fromkeys(str(file.parent.parent) for file in (Path(__file__).resolve(), Path(__file__))))
