"""The look at everything that `cyclades doctor` takes. What it cannot look at is a finding, and keeps nothing else from
being looked at."""
