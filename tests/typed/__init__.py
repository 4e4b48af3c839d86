"""The public interface as an application uses it, for type checkers: `make types` checks it strictly, and a test runs it."""
