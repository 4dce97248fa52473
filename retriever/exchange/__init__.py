"""Collections and vectors in and out: export, copies, searches by given vectors."""
