"""Runs operations: claims, steps, retries, undoes, recovers. And looks at what the world did by itself."""
