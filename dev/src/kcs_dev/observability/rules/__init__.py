"""Prometheus rules: `recording`, then alerts by what they are about; `files` joins them."""
