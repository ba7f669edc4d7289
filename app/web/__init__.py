"""HTTP in: Faust web views."""
