"""What mails look like and say: texts in three languages, one layout, calendar entries."""
