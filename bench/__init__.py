"""Measures a Cinder-compatible cloud: this one, started for the purpose, or any other by its URL (`make bench`)."""
