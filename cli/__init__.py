"""The command `kehu`: it talks to a node's API or to files, checks what it is told, and holds no rules."""
