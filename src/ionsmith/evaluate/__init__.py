"""One harness for predictors; baselines beside every result."""
