"""Pending migrations tried on a copy, with real or made-up rows, and what each statement did there."""
