"""Prometheus rules and Grafana dashboards, written here and generated into the chart.

`rules` and `dashboards` build them from the names in `scrape`; `generated` gives the files. Nothing
here talks to a running system: the tests hold each query against one.
"""
