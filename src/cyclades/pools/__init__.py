"""Where bytes live. `base` is the interface; each other package is one engine behind it."""
