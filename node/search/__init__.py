"""Finding records by their values: an index in memory over this vault's values, and answers that every department
decides about before the reader sees them (docs/adr/0015-searches.md)."""
