"""LwM2M 1.2 as pure protocol: paths, messages, object definitions, profiles. No sockets, no clocks."""
