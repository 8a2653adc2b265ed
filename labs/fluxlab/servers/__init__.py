"""What is behind the gateway: git, charts, and how they are served."""
