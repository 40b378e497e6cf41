"""PropertyModels: cheap values with a spread and a domain flag."""
