"""Transfer studies: the schema of their results, tables and pictures."""
