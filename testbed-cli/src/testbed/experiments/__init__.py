"""Experiments: a load, a fault or a comparison, measured before, during and after, with a verdict."""
