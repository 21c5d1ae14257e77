"""Pure rules of matching: who may be paired, how well they fit, who gets whom, and when it ends."""
