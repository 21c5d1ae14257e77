"""Matching without any server: the same engine on files, and companies to try it on."""
