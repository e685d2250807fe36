"""The replica at work: its driver, its hands on the chain, and how a node comes level with the others."""
