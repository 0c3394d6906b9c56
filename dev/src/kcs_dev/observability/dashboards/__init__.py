"""Grafana dashboards, a module each, from the parts in `panels`; `files` gives them as JSON."""
