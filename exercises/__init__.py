"""The exercises as commands: each breaks the running system, shows what a client sees, and counts."""
