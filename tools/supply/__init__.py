"""Where Kehu's libraries come from, and what comes out: locks, wheel, bill of materials, audit.

`python -m tools.supply lock|wheel|sbom|audit|check`; the tools it calls are in an environment of their own
(`make supply-chain` makes it from tools/supply/requirements.lock, by hash).
"""
