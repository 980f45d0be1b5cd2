"""Cyclades: OpenStack's volumes and servers, self-hosted."""

__version__ = "0.1.0"
