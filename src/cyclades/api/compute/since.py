"""What came with which microversion of Nova's API, as far as it shows in what we have.

One table for all rules; the names are ours. A version that is not here changed nothing of the resources
that we have.
"""

from __future__ import annotations

from cyclades.api.http.versions import Version

KEYPAIR_TYPE = Version(2, 2)
SERVER_ATTRIBUTES = Version(2, 3)
IP6_FILTER = Version(2, 5)
PUBLIC_FLAVOR_ACCESS_REFUSED = Version(2, 7)
SERVER_LOCKED = Version(2, 9)
KEYPAIR_USER_ID = Version(2, 10)
SERVICE_FORCED_DOWN = Version(2, 11)
SERVER_HOST_STATUS = Version(2, 16)
SERVER_DESCRIPTION = Version(2, 19)
ACTIONS_OF_DELETED = Version(2, 21)
SERVER_TAGS = Version(2, 26)
HYPERVISOR_CPU_OBJECT = Version(2, 28)
HYPERVISOR_PAGES = Version(2, 33)
KEYPAIR_PAGES = Version(2, 35)
NETWORK_PROXIES_GONE = Version(2, 36)
NETWORKS_REQUIRED = Version(2, 37)
UNKNOWN_STATUS_REFUSED = Version(2, 38)
IMAGE_PROXIES_GONE = Version(2, 39)
USAGE_PAGES = Version(2, 40)
DEVICE_TAGS = Version(2, 42)
HOSTS_GONE = Version(2, 43)
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
SERVER_PINNED_ZONE = Version(2, 96)
SERVER_IMAGE_PROPERTIES = Version(2, 98)
SERVER_SCHEDULER_HINTS = Version(2, 100)
ATTACH_WITHOUT_BODY = Version(2, 101)


def before(version: Version) -> str:
    """The last version without what came with `version`, or the last with what went then."""
    return f"{version.major}.{version.minor - 1}"


# Tags of a new server's devices came once, went away by mistake, and came again.
FIRST_DEVICE_TAGS = Version(2, 32)


def has_disk_tags(version: Version) -> bool:
    return version == FIRST_DEVICE_TAGS or version >= DEVICE_TAGS


def has_network_tags(version: Version) -> bool:
    return FIRST_DEVICE_TAGS <= version < NETWORKS_REQUIRED or version >= DEVICE_TAGS
