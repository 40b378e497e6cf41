"""One loader per public data set, with its card; splits are not made here but in evaluate."""
