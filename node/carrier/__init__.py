"""The carrier's side of the phone-identity rule: numbers, the platforms that are asked, the gateway that signs.

A gateway asks a platform whether a number still belongs to the same subscriber (`platform`), and signs what it
heard as an attestation (`gateway`). `simulator` is a platform to practise on, a process of its own.
"""
