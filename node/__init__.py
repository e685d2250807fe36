"""The node: the one place where sockets, LevelDB, clocks, keys, the carrier and asyncio meet."""
