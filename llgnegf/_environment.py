"""Settings of the process, made by importing this before NumPy and pydantic are loaded (the command does)."""

import os

# Energies are what is spread over the cores here; threads of BLAS on small matrices would only get in their way.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# pydantic would look for plugins of its own in the folder of every installed package, which takes long on slow disks.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
