"""A pool in Ceph: every volume and image is an RBD image under its own name, every snapshot one of RBD's own.

Clones and reverts are RBD clones, so they cost the same at any size. `docs/rbd-pool.md` says why it is as it is.
`worker/` is a process of its own that speaks to Ceph, `link.py` is how we speak to it.
"""

from cyclades.pools.rbd.pool import RbdPool
from cyclades.pools.rbd.settings import RbdSettings

__all__ = ["RbdPool", "RbdSettings"]
