"""Pure rules: which messages are owed, when a person may be mailed, what became pointless."""
