"""One BLAS thread, set by importing this before NumPy is loaded (the command does).

Energies are what is spread over the cores here; threads of BLAS on small matrices would only get in their way.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
