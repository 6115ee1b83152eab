//! tributary-benches
