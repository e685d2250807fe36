"""The benchmark: real node processes on the loopback, real customer transactions, the machine's bound beside them."""
