"""Running a command: settings, the default library, swapped arguments, failures in one line."""
