"""A fuzzer for what the service answers: recorded bodies and frames, broken in every way, read by every public class.

`python -m tests.fuzz --cases 20000 --seed 1` runs a campaign and prints its figures; the suite runs a short one.
"""
