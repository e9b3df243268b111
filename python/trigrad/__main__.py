"""``python -m trigrad``: the same as the command ``trigrad``."""

import sys

from trigrad.cli import main

if __name__ == "__main__":
    sys.exit(main())
