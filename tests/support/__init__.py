"""Modules that several test folders use, imported as `support.NAME`."""
