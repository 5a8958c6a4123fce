"""Dashboards, rules and provisioning as files; the Python here only generates and tests them.

Nothing of the library imports this package.
"""
