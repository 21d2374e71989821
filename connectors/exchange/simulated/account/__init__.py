"""Orders and money of accounts, on the generated books or on a market that is fed from outside. Pure."""
