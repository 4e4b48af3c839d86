"""The check of the model's own words (`speech=`): asking it, and a message with other words."""
