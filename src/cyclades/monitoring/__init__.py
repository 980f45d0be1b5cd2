"""What a process tells of itself and of its cloud: whether it is ready, and figures for Prometheus."""
