"""Small pieces of SQL that several tables' modules share."""
