"""tempest.conf: what Tempest is told of the cloud that it tests. What is not said stays as Tempest has it."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

from tests.clouds import Cloud
from tests.conformance import guests

from cyclades.config import Settings
from cyclades.model.names import unmanaged_disk

_Section = dict[str, Any]

POOLS = ("local", "second")  # of the cloud; Cinder calls them back ends

_PATIENCE = 180  # seconds, for each thing to become what it should

# Not what Tempest would fetch from public hosts.
_NOWHERE = "http://127.0.0.1:9/image"


def write(directory: Path, cloud: Cloud) -> None:
    """Into `directory`, where Tempest also keeps its log."""
    parser = configparser.RawConfigParser()
    parser.read_dict(_sections(directory, cloud, guests.images(cloud)))
    with (directory / "tempest.conf").open("w") as file:
        parser.write(file)


def _sections(directory: Path, cloud: Cloud, images: tuple[str, str]) -> dict[str, _Section]:
    return {
        "DEFAULT": {"log_dir": directory, "log_file": "tempest.log", "use_stderr": False},
        "oslo_concurrency": {"lock_path": directory / "locks"},
        "auth": {
            "use_dynamic_credentials": True,
            "create_isolated_networks": False,
            "admin_username": "admin",
            "admin_password": cloud.user("openrc").password,
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
        },
        "identity": {
            "uri_v3": f"{cloud.url}/identity/v3",
            "auth_version": "v3",
            "region": "RegionOne",
            "v3_endpoint_type": "public",
        },
        "identity-feature-enabled": {"trust": False, "access_rules": False},
        # Without `neutron`, tests with servers do not run, although they need no network of it.
        "service_available": {"cinder": True, "nova": True, "glance": True, "neutron": True, "swift": False,
                              "horizon": False},
        "network-feature-enabled": {"api_extensions": "", "floating_ips": False, "ipv6": False},
        "validation": {"run_validation": False},
        "volume": {
            "build_timeout": _PATIENCE,
            "catalog_type": "block-storage",
            "min_microversion": "3.0",
            "max_microversion": "3.71",
            "build_interval": 1,
            "disk_format": "raw",
            "storage_protocol": "qcow2",
            "vendor_name": "Cyclades",
            "manage_volume_ref": f"source-name,{unmanaged_disk('%s')}",
            "manage_snapshot_ref": f"source-name,{unmanaged_disk('%s')}",
            "backend_names": ",".join(POOLS),
        },
        "volume-feature-enabled": {
            "backup": False,
            "extend_attached_volume": True,
            "manage_volume": True,
            "manage_snapshot": True,
            "multi_backend": True,
        },
        "image": {
            "build_timeout": _PATIENCE,
            "build_interval": 1,
            "disk_formats": "raw",
            "container_formats": "bare",
            "http_image": _NOWHERE,
            "http_qcow2_image": _NOWHERE,
        },
        # What is uploaded as raw is taken as it is, as it must be.
        "image-feature-enabled": {"import_image": False, "image_format_enforcement": False},
        "compute": {
            "build_timeout": _PATIENCE,
            "build_interval": 1,
            "image_ref": images[0],
            "image_ref_alt": images[1],
            "flavor_ref": "1",
            "flavor_ref_alt": "2",
            "min_microversion": "2.1",
            "max_microversion": "2.101",
            "fixed_network_name": Settings().compute.network_name,
        },
        "compute-feature-enabled": {
            "cold_migration": False,
            "hostname_fqdn_sanitization": True,
            "ide_bus": False,
            "interface_attach": False,
            "live_migration": False,
            "pause": False,
            "rescue": False,
            "shelve": False,
            "suspend": False,
            "attach_encrypted_volume": False,
        },
    }  # fmt: skip
