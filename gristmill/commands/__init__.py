"""The commands of `gristmill`: one module for each, its options beside its code."""
