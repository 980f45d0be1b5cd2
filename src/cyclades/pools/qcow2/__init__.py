"""A pool as a directory of qcow2 files on this machine.

Every volume, snapshot and image is a stack of layers. Layers are rows with a parent and an id of their own;
names stand for layers. A snapshot freezes a volume's layer and puts an empty one on it; a clone is an empty
layer on a frozen one; so both cost the same at any size. A layer that no name stands for is merged into its
only child, or removed when it has none.
"""

from cyclades.pools.qcow2.pool import Qcow2Pool

__all__ = ["Qcow2Pool"]
