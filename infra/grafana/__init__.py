"""Grafana's dashboards: a file of Python each, written as JSON into dashboards/ by `make dashboards`."""
