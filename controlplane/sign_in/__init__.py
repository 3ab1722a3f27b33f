"""Who is there: sign-in, sessions, changing and resetting a password."""
