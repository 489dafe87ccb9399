"""Repositories: verbs on one model each. Knows models, never migrations."""
