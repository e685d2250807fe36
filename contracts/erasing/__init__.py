"""The end of personal data: orders, what stands against them, retention periods."""
