"""`cyclades volume-type-list`"""

from __future__ import annotations

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.filters import conditions
from cyclades.cli.options import Deleted, OfName
from cyclades.cli.volume_types import VOLUME_TYPE
from cyclades.store.schema import volume_type


@command(VOLUME_TYPE)
def volume_type_list(cloud: Cloud, name: OfName = None, deleted: Deleted = False) -> None:
    """List volume types, and what each can do."""
    cloud.show_list(lambda tx: conditions(tx, volume_type, name=name, deleted=deleted))
