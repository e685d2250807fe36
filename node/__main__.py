"""`python -m node HOME`: runs the node in a folder."""

import gc
import sys
from pathlib import Path

gc.disable()  # nothing that is loaded from here on is garbage; node.process turns the collector on again

from node.process import run_node  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m node HOME")
    sys.exit(run_node(Path(sys.argv[1])))
