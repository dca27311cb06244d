//! Empty: only the package of the dependency is wanted, for its tests.
