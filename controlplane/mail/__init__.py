"""Mail to people: invites and password resets."""
