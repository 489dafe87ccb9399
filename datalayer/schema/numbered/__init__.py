"""Numbered migrations: the files of a folder, the journal of what was applied, the run that applies the rest."""
