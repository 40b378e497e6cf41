"""The loop, the ledger and the executors; knows protocols, never a concrete method."""
