"""The nouns and their rules: states, capabilities, limits. No I/O at all."""
