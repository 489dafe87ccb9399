"""`python -m datalayer`: the same program as `datalayer`."""

import sys

from datalayer.cli.main import main

# worker processes that are spawned import this module too
if __name__ == "__main__":
    sys.exit(main())
