"""The whole stack as a client and an operator see it: imports nothing from app."""
