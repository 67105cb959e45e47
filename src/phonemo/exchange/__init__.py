"""What phonemo knows in the forms of other programs, and theirs in its own."""
