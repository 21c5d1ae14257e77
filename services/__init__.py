"""The four services of Updraft. None imports another; they meet only in events."""
