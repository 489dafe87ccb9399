"""Hypothesis strategies for the domains' models: values that every rule of the database accepts."""
