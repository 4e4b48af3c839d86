"""How a database is reached: what a URL means, an application's own engine used as it is, and cursors on either.

Not here: what is stored, and the statements that store it. Open `urls` for URLs, `application` for engines of the application's own.
"""
