"""Firmware updates of many devices (object 5): packages, campaigns, and how one device is led through."""
