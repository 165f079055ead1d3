"""`python -m wavix_async.cli`."""

import sys

from wavix_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
