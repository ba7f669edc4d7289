"""The same work in other frames: each file is a whole worker, started by the benchmark in place of ours.

All run in .venv-bench, as one process, with a consumer group of their own. They take their settings where ours does
(app/settings.py) and call the app's own doors, so that only what stands around them differs.
"""
