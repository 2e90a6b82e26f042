"""``python -m hotloop`` is the same as the command ``hotloop``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
