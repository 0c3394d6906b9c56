"""The operator: SFU and coturn pods that follow the load, and declared meetings."""
