"""What phonemo doctor examines: versions, machine, extras, formats, models, a self-test."""
