"""Sparkplug B 3.0: topics, payloads, and the state machines of edge nodes and host applications.

Pure protocol: no sockets, no clocks. Times enter as arguments.
"""
