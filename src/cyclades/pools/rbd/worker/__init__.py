"""What speaks to Ceph: a process of its own, run by the system's Python, for which Ceph's bindings are built.

It imports nothing but the standard library, `rados` and `rbd`; of what lies beside it only by relative imports.
`pools/rbd/link.py` starts it and speaks to it.
"""
