"""The two versions of the engine: what it computes, and where it may go on."""

# Two runs of the same bars, configuration, strategies and seed under one of these give the same result and hash.
ENGINE_VERSION = "4"

# A run may be taken up at a position of the same one: layout of the state and order of operations are as they were.
FOLD_VERSION = "3"
