"""The whole system on one machine, as processes: for `make run`, the tests and the benchmarks."""
