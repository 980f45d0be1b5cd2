"""`cyclades key-rotate`"""

from __future__ import annotations

import typer

from cyclades.cli.options import ConfigFile, Data, settings_from
from cyclades.cli.refused import Refused, refusals_told
from cyclades.security import keys


def key_rotate(data: Data = None, config: ConfigFile = None) -> None:
    """Make new keys for tokens and for what the database seals. Nobody is logged out.

    Running processes take them up within half a minute. Keys that signed no token which still lives are removed; where
    processes do not share the directory of keys, copy the new files to the others at once.
    """
    with refusals_told():
        settings = settings_from(config, data)
        if not settings.key_dir.is_dir():
            raise Refused(f"There are no keys in {settings.key_dir}: `cyclades up` or `cyclades api` makes the first.")
        try:
            made = keys.rotate(settings.key_dir, token_seconds=settings.identity.token_seconds)
        except keys.KeyFileError as error:
            raise Refused(str(error)) from error
    typer.echo(f"New keys {', '.join(made)}, in use {keys.DELAY} seconds from now.")
