"""How the system is right now: every part probed, what it does a second, what a dead one costs."""
