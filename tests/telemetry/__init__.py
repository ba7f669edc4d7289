"""`make test-telemetry`: what needs programs that setup does not bring (the system's prometheus, with promtool)."""
