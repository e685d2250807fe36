"""PBFT as a deterministic state machine: `Replica.step(event, now_ms) -> effects` (docs/spec/consensus.md)."""
