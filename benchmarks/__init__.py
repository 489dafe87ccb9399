"""Measurements of datalayer against the raw drivers and other libraries; `python -m benchmarks` runs them."""
