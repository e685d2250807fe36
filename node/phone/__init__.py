"""The node's part of the phone rule: the carrier asked, answers attested, sweeps paced."""
