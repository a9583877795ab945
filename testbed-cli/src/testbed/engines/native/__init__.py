"""The native engine: every part as a process of this machine, from the same configuration files as compose."""
