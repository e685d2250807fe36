"""LevelDB and the vote log, opened with every check on."""
