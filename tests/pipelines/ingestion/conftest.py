"""Fixtures of the tests about versions."""

from versioned import two_versions, versioned

__all__ = ["two_versions", "versioned"]
