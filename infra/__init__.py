"""The servers: one folder each with its configuration; native/ starts them without Docker."""
