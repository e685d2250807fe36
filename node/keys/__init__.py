"""Keys in files, the passphrases that open them, and how to change one."""
