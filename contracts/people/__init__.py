"""People, customers, and the phone rule: whether a number still belongs to the same person."""
