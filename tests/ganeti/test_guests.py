"""The small guest as a KVM instance: it boots, obeys on its console, and sees disks come and go."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from tests.ganeti.cell import Cell
from tests.ganeti.guest import Kernel
from tests.ganeti.rapi import Rapi


@pytest.mark.parametrize("boots_from", ["kernel", "disk"])
def test_a_guest_boots_and_obeys(
    c1: Cell, rapi1: Rapi, guest_kernel: Kernel, guest_image: Path, boots_from: str
) -> None:
    name, node = f"snf-{uuid4()}.{c1.domain}", c1.nodes[1]
    hvparams = guest_kernel.hvparams if boots_from == "kernel" else {}
    rapi1.create(name, "file", 32, pnode=node.name, hypervisor="kvm", hvparams=hvparams)
    if boots_from == "disk":
        disk = node.root / f"srv/ganeti/file-storage/{name}"
        ((content,),) = [list(disk.iterdir())]
        with guest_image.with_suffix(".raw").open("rb") as image, content.open("r+b") as file:
            shutil.copyfileobj(image, file)
    rapi1.job("PUT", f"/instances/{name}/startup")
    console = c1.node_of(name).console(name)
    try:
        console.until_up()
        assert console.ask("disks").endswith(f":{32 << 20}")
        if boots_from == "kernel":
            console.ask("write vda by the guest")
            assert console.ask("read vda") == "by the guest"
            rapi1.job("PUT", f"/instances/{name}/modify", {"disks": [["add", -1, {"size": 8}]], "hotplug": True})
            console.wait(rf"^DISKS .*:{8 << 20}\b")
    finally:
        console.close()
        rapi1.job("PUT", f"/instances/{name}/shutdown", {"timeout": 0})
        rapi1.job("DELETE", f"/instances/{name}")
