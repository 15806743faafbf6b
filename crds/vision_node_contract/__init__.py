"""The contract that api, operator and describer share. It imports none of them."""
