"""The check of the model's text (`speech=`): calls it and replaces the text of a message."""
