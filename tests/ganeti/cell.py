"""A cell: one real Ganeti cluster, its nodes in namespaces of their own."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tests.ganeti.node import Node
from tests.ganeti.plan import Plan, start_time

USER = "cyclades"  # of RAPI; it may write

_PROJECT = Path(__file__).parents[2]
# Without device-mapper in the kernel, Ganeti offers `plain`, and its nodes fail to make such a disk; `drbd` it refuses.
_TEMPLATES = "file,sharedfile,ext,diskless,plain"
_KVM = "kvm_path=/usr/bin/qemu-system-x86_64,kvm_flag=,kernel_path=,initrd_path=,serial_console=true,vnc_bind_address="
_LEAST = "cpu-count=1,disk-count=0,disk-size=1,memory-size=1,nic-count=0,spindle-use=0"
_MOST = "cpu-count=8,disk-count=16,disk-size=1048576,memory-size=32768,nic-count=8,spindle-use=12"


class Cell:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.name = plan.name
        self.domain = plan.domain
        self.url = f"https://127.0.0.1:{plan.port}"
        self.user, self.password = USER, plan.password
        self.certificate = plan.directory / "rapi.crt"  # RAPI's own, the only one to trust
        self.nodes = [Node(*plan.node(number)[:2]) for number in range(1, plan.nodes + 1)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def master(self) -> Node:
        return self.nodes[0]

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Trusts this cluster's certificate alone. It names no host, so no name is checked."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    def run(self, *words: str | Path, typed: str = "", check: bool = True) -> str:
        """Run a command, such as `gnt-instance list`, on the master."""
        return self.master.run(*words, typed=typed, check=check)

    def install(self, source: Path, target: str) -> None:
        """Copy a file or a directory to this path on all nodes, in place of what is there."""
        for node in self.nodes:
            node.install(source, target)

    def node_of(self, instance: str) -> Node:
        """Where an instance is."""
        name = self.run("gnt-instance", "list", "--no-headers", "-o", "pnode", instance).strip()
        return next(node for node in self.nodes if node.name == name)

    # --- its life ---------------------------------------------------------------------------------------

    def start(self, listener: socket.socket, held: Sequence[int], *, lingers: bool) -> None:
        """Start the nodes; Ganeti is not there yet. `listener` is bound to RAPI's port on 127.0.0.1, `held` are file
        descriptors that stay open as long as the cell runs. Unless it `lingers`, it ends with the thread that calls
        this, however that ends."""
        spaces = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--net"]
        if not lingers:
            spaces = ["setpriv", "--pdeathsig=KILL", *spaces]
        words = [str(self.plan.directory), str(listener.fileno())]
        with (self.plan.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*spaces, sys.executable, "-m", "tests.ganeti.inside", *words],
                cwd=_PROJECT,
                pass_fds=[listener.fileno(), *held],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def until_up(self) -> None:
        """Wait for the nodes."""
        assert self._process is not None
        assert self._process.stdout is not None
        up = self._process.stdout.readline()
        self._process.stdout.close()
        assert up == b"up\n", self.log()

    def make_cluster(self) -> None:
        """On nodes that are up: init, RAPI's user, the other nodes."""
        self._init()
        self.certificate.write_text(_certificate_of(self.run("cat", "/var/lib/ganeti/rapi.pem")))
        # RAPI reads the file anew when it is closed or moved there, not when its owner changes.
        add_user = "umask 027; cat >new; chown gnt-rapi:gnt-masterd new; mv new users"
        self.run("sh", "-euc", f"cd /var/lib/ganeti/rapi; {add_user}", typed=f"{USER} {self.password} write\n")
        for node in self.nodes[1:]:
            self.run("gnt-node", "add", "--no-ssh-key-check", node.name)
        self._write_env()

    def _init(self) -> None:
        self.run(
            *("gnt-cluster", "init", "--no-etc-hosts", "--no-ssh-init"),
            *("--master-netdev=eth0", "--master-netmask=24", "--nic-parameters=mode=bridged,link=br0"),
            *("--enabled-hypervisors=fake,kvm", "-H", f"kvm:{_KVM}"),  # without kvm_flag, QEMU emulates the processor
            *(f"--enabled-disk-templates={_TEMPLATES}", f"--ipolicy-disk-templates={_TEMPLATES}"),
            "--vg-name=xenvg",
            "--file-storage-dir=/srv/ganeti/file-storage",
            "--shared-file-storage-dir=/srv/ganeti/shared-file-storage",
            *("--ipolicy-bounds-specs", f"min:{_LEAST}/max:{_MOST}"),
            self.domain,
        )

    def _write_env(self) -> None:
        values = {
            "URL": self.url,
            "USER": self.user,
            "PASSWORD": self.password,
            "CERTIFICATE": self.certificate,
            "CLUSTER": self.domain,
            "SHARED": self.plan.shared,
        }
        text = "".join(f"GANETI_{name}={value}\n" for name, value in values.items())
        (self.plan.directory / "env").write_text(text)

    def log(self) -> str:
        """What went wrong when the nodes were started."""
        return (self.plan.directory / "log").read_text("utf-8", "replace")

    def stop(self) -> None:
        """End all that runs in the cell. Its files stay."""
        end(self.plan.directory)
        if self._process:
            self._process.kill()
            self._process.wait()


def end(directory: Path) -> None:
    """End the cell in this directory, whoever started it, and wait until nothing of it runs."""
    with suppress(OSError):
        number, started = (directory / "pid").read_text().split()
        process = os.pidfd_open(int(number))
        try:
            if started == start_time(number):  # the number may be another's by now
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [])  # the end of a namespace's first process waits for all others
        finally:
            os.close(process)


def _certificate_of(pem: str) -> str:
    begin, stop = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    return begin + pem.partition(begin)[2].partition(stop)[0] + stop
