"""Sparkplug B host application: state of all edge nodes and devices, REST view, commands, metrics."""
