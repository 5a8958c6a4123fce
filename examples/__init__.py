"""Whole programs that use weatherglass, to be read, run and taken apart.

They are no part of the package: run them in a clone, from its top folder.
"""
