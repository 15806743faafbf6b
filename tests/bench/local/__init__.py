"""Measure the describer `local`: what it says about labeled pictures, and what it costs."""
