"""People and service identities: sign-in, users of an org, the first System Admin."""
