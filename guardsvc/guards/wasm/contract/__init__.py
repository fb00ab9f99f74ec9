"""What components export and import: the interface, and which shape of it one has."""
