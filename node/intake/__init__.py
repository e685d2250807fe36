"""The way in: transactions are admitted, batched, gossiped and verified, and who sent them waits for the outcome."""
