"""Tools for developers: run a component from the checkout, and change the project's version."""
