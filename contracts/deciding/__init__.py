"""Who may do what: the one decision, what it stands on, and how it is changed and explained."""
