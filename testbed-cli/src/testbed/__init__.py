"""The command line of the testbed: starts, watches, checks and stops it."""
