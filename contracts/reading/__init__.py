"""Reads and their record: every read is a call, and what it was allowed stands in its receipt."""
