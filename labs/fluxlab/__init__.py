"""fluxlab: a local lab and pytest harness for GitOps with Flux."""
