"""A node's data as two files, taken while it runs; and a node's folder made of them."""
