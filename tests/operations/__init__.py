"""Acting on instances from outside their graphs."""
