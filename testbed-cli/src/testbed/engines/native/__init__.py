"""The native engine: every part as a process of this machine, with the configuration files of compose."""
