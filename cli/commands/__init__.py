"""One file per group of commands. Each imports what it needs inside its functions, so that `kehu` starts fast."""
