"""The escrow contract and its chains: the one place of the chain's libraries, loaded only where a chain is set."""
