"""Values of persons, sealed at rest, apart from the chain."""
