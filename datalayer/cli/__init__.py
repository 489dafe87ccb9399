"""The command `datalayer`: parse, call, print. One file a command; no SQL here.

main knows the names of all commands and imports a command's module, and what that needs, only when it is
called.
"""
