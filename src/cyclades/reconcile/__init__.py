"""What happened behind our back: found, and mended when told (docs/reconciliation.md)."""
