"""Small real images under the names that charts and Flux's manifests render, so that these run as they are."""
