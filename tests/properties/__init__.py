"""What the core promises (P1 to P12, docs/design.md), each as a property with a test of its name."""
