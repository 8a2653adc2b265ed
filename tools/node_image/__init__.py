"""A kind node image from nothing but package registries: Debian's packages and pinned Go modules."""
