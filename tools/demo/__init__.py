"""The demonstration: six departments, real processes, one story, told and checked step by step."""
