"""`python -m tge_monitor`."""

import sys

from tge_monitor.app import main

if __name__ == "__main__":
    sys.exit(main())
