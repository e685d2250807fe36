"""Why the network does or does not progress: facts, findings, and what nodes tell each other of themselves."""
