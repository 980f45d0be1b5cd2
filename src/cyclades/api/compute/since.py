"""What came with which microversion of Nova's API.

One table for all rules; the names are ours. `NOT_OURS` has the versions that changed only what we do not have.
"""

from __future__ import annotations

from cyclades.api.http.versions import Version

BASE = Version(2, 1)
KEYPAIR_TYPE = Version(2, 2)
SERVER_ATTRIBUTES = Version(2, 3)
IP6_FILTER = Version(2, 5)
REMOTE_CONSOLES = Version(2, 6)
PUBLIC_FLAVOR_ACCESS_REFUSED = Version(2, 7)
SERVER_LOCKED = Version(2, 9)
KEYPAIR_USER_ID = Version(2, 10)
SERVICE_FORCED_DOWN = Version(2, 11)
SERVER_HOST_STATUS = Version(2, 16)
CRASH_DUMP = Version(2, 17)
SERVER_DESCRIPTION = Version(2, 19)
ACTIONS_OF_DELETED = Version(2, 21)
MIGRATIONS_OF_SERVER = Version(2, 23)
SERVER_TAGS = Version(2, 26)
HYPERVISOR_CPU_OBJECT = Version(2, 28)
FIRST_DEVICE_TAGS = Version(2, 32)  # they came once, went away by mistake, and came again with DEVICE_TAGS
HYPERVISOR_PAGES = Version(2, 33)
KEYPAIR_PAGES = Version(2, 35)
NETWORK_PROXIES_GONE = Version(2, 36)
NETWORKS_REQUIRED = Version(2, 37)
UNKNOWN_STATUS_REFUSED = Version(2, 38)
IMAGE_PROXIES_GONE = Version(2, 39)
USAGE_PAGES = Version(2, 40)
DEVICE_TAGS = Version(2, 42)
HOSTS_GONE = Version(2, 43)
ADDRESS_ACTIONS_GONE = Version(2, 44)
IMAGE_ID_ANSWERED = Version(2, 45)
SERVER_FLAVOR_INSIDE = Version(2, 47)
ATTACH_WITH_TAG = Version(2, 49)
QUOTA_PROXIES_GONE = Version(2, 50)
ACTION_EVENTS_FOR_ALL = Version(2, 51)
SERVER_TAGS_AT_CREATION = Version(2, 52)
HOST_UUIDS = Version(2, 53)
FLAVOR_DESCRIPTION = Version(2, 55)
PERSONALITY_GONE = Version(2, 57)
ACTION_PAGES = Version(2, 58)
FLAVOR_EXTRA_SPECS = Version(2, 61)
ACTION_EVENT_HOST = Version(2, 62)
SERVER_TRUSTED_CERTIFICATES = Version(2, 63)
CHANGES_BEFORE = Version(2, 66)
BLOCK_DEVICE_VOLUME_TYPE = Version(2, 67)
ATTACHMENT_TAG = Version(2, 70)
SERVER_GROUPS = Version(2, 71)
SERVER_LOCKED_REASON = Version(2, 73)
SERVER_HOST_ASKED = Version(2, 74)
UNKNOWN_QUERY_REFUSED = Version(2, 75)
UPDATE_SHOWS_ALL = Version(2, 75)
FLAVOR_SWAP_NUMBER = Version(2, 75)
ATTACHMENT_DELETE_ON_TERMINATION = Version(2, 79)
SERVER_FILTERS_FOR_ALL = Version(2, 83)
ACTION_EVENT_DETAILS = Version(2, 84)
ATTACHMENT_CHANGED = Version(2, 85)
HYPERVISOR_UPTIME_INSIDE = Version(2, 88)
ATTACHMENT_OWN_ID = Version(2, 89)
SERVER_HOSTNAME = Version(2, 90)
KEYPAIR_GIVEN_ONLY = Version(2, 92)
HOSTNAME_WITH_DOMAIN = Version(2, 94)
SERVER_PINNED_ZONE = Version(2, 96)
SERVER_IMAGE_PROPERTIES = Version(2, 98)
SERVER_SCHEDULER_HINTS = Version(2, 100)
ATTACH_WITHOUT_BODY = Version(2, 101)

_FIXED = "addresses of servers, and what is plugged into which network: the backend's alone"
_CONSOLES = "screens of guests"
_GROUPS = "groups of servers"
_MOVES = "servers that are moved to other hosts"
_SHELVED = "servers that are shelved"
_REBUILT = "servers that are rebuilt"
_AGGREGATES = "aggregates of hosts"

NOT_OURS: dict[Version, str] = {
    Version(2, 4): _FIXED,
    Version(2, 8): _CONSOLES,
    Version(2, 12): _FIXED,
    Version(2, 13): _GROUPS,
    Version(2, 14): _MOVES,
    Version(2, 15): _GROUPS,
    Version(2, 18): "the project in the URL is optional at any version",
    Version(2, 20): _SHELVED,
    Version(2, 22): _MOVES,
    Version(2, 24): _MOVES,
    Version(2, 25): _MOVES,
    Version(2, 27): "both headers name the version at any version",
    Version(2, 29): _MOVES,
    Version(2, 30): _MOVES,
    Version(2, 31): _CONSOLES,
    Version(2, 34): _MOVES,
    Version(2, 41): _AGGREGATES,
    Version(2, 46): "both headers tell the request's id at any version",
    Version(2, 48): "measurements inside guests",
    Version(2, 54): _REBUILT,
    Version(2, 56): _MOVES,
    Version(2, 59): _MOVES,
    Version(2, 60): "volumes of several servers, which no pool has (yet)",
    Version(2, 64): _GROUPS,
    Version(2, 65): _MOVES,
    Version(2, 68): _MOVES,
    Version(2, 69): "parts of a cloud that cannot be reached: there is one database",
    Version(2, 72): _FIXED,
    Version(2, 76): "what Ironic says of machines",
    Version(2, 77): _SHELVED,
    Version(2, 78): "how guests' processors and memory lie on their host",
    Version(2, 80): _MOVES,
    Version(2, 81): _AGGREGATES,
    Version(2, 82): "accelerators",
    Version(2, 86): "extra specs mean something to whom they are for: they are not checked",
    Version(2, 87): "servers that are rescued",
    Version(2, 91): _SHELVED,
    Version(2, 93): _REBUILT,
    Version(2, 95): _MOVES,
    Version(2, 97): "shared file systems",
    Version(2, 99): _CONSOLES,
}


def before(version: Version) -> str:
    """The last version without what came with `version`, or the last with what went then."""
    return f"{version.major}.{version.minor - 1}"


def has_disk_tags(version: Version) -> bool:
    return version == FIRST_DEVICE_TAGS or version >= DEVICE_TAGS


def has_network_tags(version: Version) -> bool:
    return FIRST_DEVICE_TAGS <= version < NETWORKS_REQUIRED or version >= DEVICE_TAGS
