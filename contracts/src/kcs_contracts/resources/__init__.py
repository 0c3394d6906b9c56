"""The kinds that people apply to Kubernetes, a package per version of the API group."""
