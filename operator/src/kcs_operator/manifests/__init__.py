"""Kubernetes objects, built by pure functions from a spec."""
