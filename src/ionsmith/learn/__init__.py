"""The one trainer and shared building blocks of learned models."""
