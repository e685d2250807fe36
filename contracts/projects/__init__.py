"""Organisations and projects, and what is recorded about them."""
