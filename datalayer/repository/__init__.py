"""Repositories: typed verbs over one model's rows, on both engines alike."""
