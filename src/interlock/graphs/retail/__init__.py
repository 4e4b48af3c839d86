"""The retail desk: a shop in SQL and the customer service over it."""
