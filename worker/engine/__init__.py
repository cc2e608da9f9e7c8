"""The engine: pure computing over arrays. No I/O, no time of day, no checking of input.

Nothing is loaded here: a worker reads what its engine processes answer without the compiler that they load.
"""
