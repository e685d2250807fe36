"""The state of a certified block, given to other nodes and taken from them; and the blocks from before it."""
