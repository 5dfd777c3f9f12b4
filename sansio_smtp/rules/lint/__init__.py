"""What can be wrong with a rule, found before mail comes: by its name, its parameters, its verdicts."""
