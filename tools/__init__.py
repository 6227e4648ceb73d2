"""What maintainers run: generators of shipped tables, and the deep test run."""
