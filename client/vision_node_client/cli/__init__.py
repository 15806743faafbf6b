"""The command vision-node."""
