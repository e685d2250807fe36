"""Networks larger and farther apart than one machine can be: the real replicas over simulated hosts (`make scale`)."""
