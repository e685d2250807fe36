"""Bringing a CSV file of customers in: reading rows, the journal that makes it resumable, and the way to the node."""
