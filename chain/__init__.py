"""What is written: types, the one encoding, digests, signatures, transactions, blocks, state and proofs.

Pure functions and values over a small storage interface (`chain.store.Store`). Nothing here reads a clock,
draws a random number, opens a file or knows which contracts exist.
"""
