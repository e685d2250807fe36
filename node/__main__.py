"""`python -m node HOME`: runs the node in a folder."""

import sys
from pathlib import Path

from node.process import run_node

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m node HOME")
    sys.exit(run_node(Path(sys.argv[1])))
