"""What all services share: routes, microversions, bodies, errors, pages."""
