"""Where servers run. `base` is the interface; each other package is one kind of backend."""
