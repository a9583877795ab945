"""Grafana's dashboards as code: `python -m testbed.dashboards` writes grafana/dashboards/*.json.

Needs grafana-foundation-sdk, a development dependency; nothing else of the command line imports this package.
"""
