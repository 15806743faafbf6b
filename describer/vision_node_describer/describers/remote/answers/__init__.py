"""Reading what a model answered: its shape is enforced here and never trusted."""
