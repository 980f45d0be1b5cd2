"""`cyclades backend-list`"""

from __future__ import annotations

from cyclades.cli.backends import BACKEND
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command


@command(BACKEND)
def backend_list(cloud: Cloud) -> None:
    """List the backends: this machine, and the Ganeti clusters that were added."""
    cloud.show_list(lambda _: [])
