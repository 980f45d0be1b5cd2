"""Keys, passwords, tokens, and what was revoked."""
