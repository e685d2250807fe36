"""Whether a node's folder holds what it should, and what becomes of it when it does not."""
