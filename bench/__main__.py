"""`make bench`: measures, and prints what it found beside what is to be reached. It never fails for being slow."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import attaching, fill, ganeti, making, purging, servers, starting, throughput
from bench.cloud import Cloud
from bench.endpoint import Broken, Endpoint, login
from bench.figures import Report, ms
from bench.options import GANETI, NAMED, OURS_ONLY, PURGE, Login, Options, parse
from bench.throughput import MADE, Throughput

_FOREIGN_PAUSE = 0.02  # seconds between two looks at somebody else's cloud

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def main() -> int:
    options = parse()
    report, found = Report(), Throughput()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _about_the_machine(report)
    code = 0
    try:
        if options.login is None:
            _ours(options, report, found)
        else:
            uvloop.run(_theirs(options, options.login, report, found))
    except KeyboardInterrupt:
        return 130
    except (Broken, OSError, TimeoutError) as error:
        console.print(f"Not all could be measured: {error}", style="red", markup=False)
        code = 1
    _show(options, report, found)
    return code


def _ours(options: Options, report: Report, found: Throughput) -> None:
    """Start a cloud, and measure it."""
    with tempfile.TemporaryDirectory(prefix="cyclades-bench-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o711)  # the guests' QEMUs pass through it
        if "start" in options.parts:
            with console.status("starting clouds"):
                starting.measure(options, report, directory)
        if GANETI in options.parts:
            with console.status("attaching volumes in a cluster"):
                ganeti.measure(options, report, directory)
        if PURGE in options.parts:
            with console.status(f"forgetting {purging.DELETED:,} deleted volumes"):
                purging.measure(report, directory)
        if set(options.parts) - {"start", *NAMED}:
            with Cloud(directory / "cloud") as cloud:
                uvloop.run(_inside(options, report, found, cloud))


async def _inside(options: Options, report: Report, found: Throughput, cloud: Cloud) -> None:
    endpoint = await cloud.endpoint()
    await _for_all(options, report, endpoint, cloud)
    if "attach" in options.parts:
        with console.status("attaching volumes to a guest"):
            await attaching.measure(options, report, endpoint, cloud)
    if "servers" in options.parts:
        with console.status("starting servers with volumes"):
            await servers.measure(options, report, endpoint, cloud)
    if "requests" not in options.parts:
        return
    for volumes in options.volumes:
        with console.status(f"counting requests at {volumes:,} volumes"):
            there = len(await fill.ids(endpoint, volumes))
            await fill.into_the_tables(endpoint, cloud.directory / "cyclades.db", volumes - there)
            await throughput.measure(options, endpoint, cloud, volumes, found)
    report.add("resident memory after the requests", f"{cloud.memory() / 1e6:.0f} MB")


async def _theirs(options: Options, wanted: Login, report: Report, found: Throughput) -> None:
    """Measure somebody's cloud; what was made there is deleted again."""
    if left_out := [part for part in options.parts if part in OURS_ONLY]:
        report.note(f"Left out, since they need a process of our own: {', '.join(left_out)}.")
    report.note("The CPU of this cloud's servers cannot be seen from here.")
    endpoint = await login(wanted, pause=_FOREIGN_PAUSE)
    try:
        await _for_all(options, report, endpoint, None)
        if "requests" in options.parts:
            for volumes in options.volumes:
                with console.status(f"counting requests at {volumes:,} volumes"):
                    there = len(await fill.ids(endpoint, volumes))
                    await fill.through_the_api(endpoint, volumes - there)
                    await throughput.measure(options, endpoint, None, volumes, found)
    finally:
        with console.status("deleting what was made"):
            await endpoint.clean()


async def _for_all(options: Options, report: Report, endpoint: Endpoint, cloud: Cloud | None) -> None:
    """What is measured in every cloud."""
    if "create" in options.parts:
        with console.status("making volumes"):
            await making.create(options, report, endpoint)
    if "clone" in options.parts:
        with console.status("making snapshots and clones"):
            await making.clone(options, report, endpoint, cloud)


# --- what is shown --------------------------------------------------------------------------------


def _about_the_machine(report: Report) -> None:
    cores = len(os.sched_getaffinity(0))
    busy = " · ".join(f"{load:.1f}" for load in os.getloadavg())
    report.note(f"{cores} cores; load of the machine before (1, 5, 15 minutes): {busy}.")


def _show(options: Options, report: Report, found: Throughput) -> None:
    for volumes in options.volumes[1:]:
        for clients in options.clients:
            few, many = (found.of("list of 10", clients, number) for number in (options.volumes[0], volumes))
            if few is None or many is None:
                continue
            text = f"{many.rate / few.rate:.2f} times as fast as at {few.volumes:,}"
            if few.cpu is not None and many.cpu is not None:
                text += f", {many.cpu / few.cpu:.2f} times the CPU"
            report.add(f"list of 10 at {volumes:,} volumes, {clients} at once", text, "as fast")
    if report.figures:
        table = Table("What", "Measured", "To be reached")
        for figure in report.figures:
            table.add_row(figure.name, figure.measured, figure.goal)
        console.print(table)
    if found.lines:
        console.print(_requests(found))
        report.note(
            f"The clients are one process of their own beside the server, and took {found.own_share:.0%} of a core at "
            "most: on 2 cores that is the other core, and guests and other programs share both."
        )
        if options.volumes[0] < 1_000:
            report.note("A list of 1,000 has only as many as there are.")
    busy = os.getloadavg()[0]
    report.note(f"Load after: {busy:.1f}.")
    for note in report.notes:
        console.print(f"· {note}", style="dim", soft_wrap=True, markup=False)


def _requests(found: Throughput) -> Table:
    table = Table("Request", title="Requests", title_justify="left")
    for name in ("Volumes", "Clients", "Requests/s", "p50", "p95", "CPU each", "To be reached"):
        table.add_column(name, justify="right")
    kind = ""
    for line in found.lines:
        if line.kind not in (kind, MADE):
            table.add_section()
            kind = line.kind
        times = ["" if seconds is None else ms(seconds) for seconds in (line.p50, line.p95, line.cpu)]
        table.add_row(line.kind, f"{line.volumes:,}", str(line.clients), f"{line.rate:,.0f}", *times, line.goal)
    return table


if __name__ == "__main__":
    sys.exit(main())
