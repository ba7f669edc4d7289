"""The payments pipeline: one Faust app; app/main.py is its map."""
