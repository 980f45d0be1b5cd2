"""OpenStack's dialects, and nothing else: one package for each service, and `http` for what they share.

Only this package knows wire names, microversions and error bodies.
"""
