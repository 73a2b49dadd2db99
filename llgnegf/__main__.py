"""`python -m llgnegf` is the command `llgnegf`."""

import sys

from llgnegf.cli import main

sys.exit(main())
