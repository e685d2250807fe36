"""What departments may do: deterministic functions of a call's context, its arguments and the state.

`registry.contract_table()` is what chain.execution takes. docs/spec/contracts.md describes every call.
"""
