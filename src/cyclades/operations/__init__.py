"""The verbs: one file for each thing a user can ask for that takes time.

Each module holds `OPERATION` (its steps and undos, and what the end means for the rows) and the function
that accepts the request: rules, rows, quota and the operation, in the caller's own transaction. `base`
has the words they are written in.
"""
