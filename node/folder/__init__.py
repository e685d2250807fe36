"""A node's folder: its configuration, the files that people put there, and the stores that are opened at the start."""
