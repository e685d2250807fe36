"""The way in: a transaction is admitted, batched, gossiped and verified, and its sender waits for what becomes of it."""
