//! tributary-mapreduce-core
