"""The contract: what api, operator and describer agree on. It imports none of them."""
