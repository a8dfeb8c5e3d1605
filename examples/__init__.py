"""Whole lives of models with the real server; each runs as `python -m examples.NAME` (see README.md)."""
