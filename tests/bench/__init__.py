"""Measurements: each is a program that prints figures; some have a small version among the tests."""
