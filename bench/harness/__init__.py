"""What `bench/bench.py` is made of: systems, workloads, rounds, and the tables that come of them."""
